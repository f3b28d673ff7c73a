/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols of ELF files, found by build id and file offset. */

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <link.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/symbolise.h"

#define BUILD_ID_HEX 40

static bool note_is(const Elf_Data *notes, const char *build_id)
{
	size_t at = 0, name, desc;
	GElf_Nhdr n;

	while ((at = gelf_getnote((Elf_Data *)notes, at, &n, &name, &desc)) > 0) {
		const unsigned char *id = (const unsigned char *)notes->d_buf + desc;
		char hex[3];

		if (n.n_type != NT_GNU_BUILD_ID || n.n_descsz * 2 != strlen(build_id))
			continue;
		for (size_t i = 0; i < n.n_descsz; i++) {
			(void)snprintf(hex, sizeof(hex), "%02x", id[i]);
			if (strncmp(hex, build_id + 2 * i, 2) != 0)
				return false;
		}
		return true;
	}
	return false;
}

static bool has_build_id(Elf *elf, const char *build_id)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section))) {
		const Elf_Data *data;
		GElf_Shdr h;

		if (!gelf_getshdr(section, &h) || h.sh_type != SHT_NOTE)
			continue;
		data = elf_getdata(section, NULL);
		if (data && note_is(data, build_id))
			return true;
	}
	return false;
}

/* File offset → address, by the segment that holds it. */
static bool address_of(Elf *elf, uint64_t offset, uint64_t *ret)
{
	size_t n = 0;

	if (elf_getphdrnum(elf, &n) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(elf, (int)i, &p) || p.p_type != PT_LOAD || !(p.p_flags & PF_X) ||
		    offset < p.p_offset || offset - p.p_offset >= p.p_memsz)
			continue;
		*ret = offset - p.p_offset + p.p_vaddr;
		return true;
	}
	return false;
}

static bool find_in(Elf *elf, Elf_Scn *section, const GElf_Shdr *h, uint64_t address,
		    struct strbuf *b)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Sym s;

	for (int i = 0; data && gelf_getsym(data, i, &s); i++) {
		const char *name;

		if (GELF_ST_TYPE(s.st_info) != STT_FUNC || address < s.st_value ||
		    address - s.st_value >= MAX(s.st_size, 1ULL))
			continue;
		name = elf_strptr(elf, h->sh_link, s.st_name);
		if (!name)
			return false;
		text_add_terminal(b, name, strlen(name));
		strbuf_addf(b, "+0x%llx", (unsigned long long)(address - s.st_value));
		return true;
	}
	return false;
}

static bool find_symbol(Elf *elf, uint64_t address, struct strbuf *b)
{
	static const GElf_Word types[] = { SHT_SYMTAB, SHT_DYNSYM };

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		Elf_Scn *section = NULL;

		while ((section = elf_nextscn(elf, section))) {
			GElf_Shdr h;

			if (gelf_getshdr(section, &h) && h.sh_type == types[t] &&
			    find_in(elf, section, &h, address, b))
				return true;
		}
	}
	return false;
}

bool symbolise_in_file(struct strbuf *b, const char *path, const char *build_id, uint64_t offset)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint64_t address;
	bool found;
	Elf *elf;

	if (fd < 0 || elf_version(EV_CURRENT) == EV_NONE)
		return false;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf)
		return false;
	found = elf_kind(elf) == ELF_K_ELF && has_build_id(elf, build_id) &&
		address_of(elf, offset, &address) && find_symbol(elf, address, b);
	(void)elf_end(elf);
	return found;
}

struct search {
	struct strbuf *b;
	const char *build_id;
	uint64_t offset;
};

static int try_own(struct dl_phdr_info *info, size_t size, void *ctx)
{
	const struct search *s = ctx;

	(void)size;
	return info->dlpi_name && info->dlpi_name[0] == '/' &&
	       symbolise_in_file(s->b, info->dlpi_name, s->build_id, s->offset);
}

void symbolise_frame(struct strbuf *b, const char *frame, const char *exe)
{
	char build_id[BUILD_ID_HEX + 1], path[128];
	struct search s = { .b = b, .build_id = build_id };
	const char *offset = strstr(frame, "+0x");

	if (!offset || parse_hex64(offset + 3, strlen(offset + 3), &s.offset) < 0 ||
	    strspn(frame, "0123456789abcdef") != BUILD_ID_HEX || offset - frame != BUILD_ID_HEX) {
		text_add_terminal(b, frame, strlen(frame));
		return;
	}
	memcpy(build_id, frame, BUILD_ID_HEX);
	build_id[BUILD_ID_HEX] = '\0';
	(void)snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%.2s/%s.debug", build_id,
		       build_id + 2);
	if ((*exe && symbolise_in_file(b, exe, build_id, s.offset)) ||
	    symbolise_in_file(b, path, build_id, s.offset) || dl_iterate_phdr(try_own, &s))
		return;
	text_add_terminal(b, frame, strlen(frame));
}
