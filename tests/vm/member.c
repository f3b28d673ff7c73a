/* SPDX-License-Identifier: Apache-2.0 */
/* vm_member STRUCT MEMBER: type of a member as the running kernel's BTF has it, "struct percpu_counter[4]"; 1: there is none. */

#include <bpf/btf.h>
#include <stdio.h>
#include <string.h>

static const struct btf_type *skip(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && btf_is_mod(t))
		t = btf__type_by_id(btf, t->type);
	return t;
}

static const struct btf_member *find(const struct btf *btf, const struct btf_type *t,
				     const char *name)
{
	const struct btf_member *m = btf_members(t), *found;

	for (int i = 0; i < btf_vlen(t); i++) {
		const struct btf_type *inner = skip(btf, m[i].type);

		if (strcmp(btf__name_by_offset(btf, m[i].name_off), name) == 0)
			return &m[i];
		if (m[i].name_off == 0 && inner && btf_is_composite(inner)) {
			found = find(btf, inner, name);
			if (found)
				return found;
		}
	}
	return NULL;
}

static void print_type(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = skip(btf, id);

	if (!t)
		return;
	if (btf_is_array(t)) {
		print_type(btf, btf_array(t)->type);
		printf("[%u]", btf_array(t)->nelems);
	} else if (btf_is_ptr(t)) {
		print_type(btf, t->type);
		printf(" *");
	} else {
		printf("%s%s", btf_is_struct(t) || btf_is_fwd(t) ? "struct " : "",
		       btf__name_by_offset(btf, t->name_off));
	}
}

int main(int argc, char **argv)
{
	struct btf *btf = btf__parse("/sys/kernel/btf/vmlinux", NULL);
	const struct btf_member *m = NULL;
	int id;

	if (argc != 3 || !btf)
		return 2;
	id = btf__find_by_name_kind(btf, argv[1], BTF_KIND_STRUCT);
	if (id > 0)
		m = find(btf, btf__type_by_id(btf, (__u32)id), argv[2]);
	if (m) {
		print_type(btf, m->type);
		printf("\n");
	}
	btf__free(btf);
	return m ? 0 : 1;
}
