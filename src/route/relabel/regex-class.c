/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character classes and escapes as Go reads them
 *
 * Everything but \p is plain arithmetic on ranges of code points, so nothing depends on what PCRE2 thinks of a class. Source: parse.go of
 * regexp/syntax (parseClass, parseEscape, parseUnicodeClass).
 */

#include <errno.h>
#include "base/macro.h"
#include "base/text.h"
#include "route/relabel/regex-tree.h"

static const struct regex_range digits[] = { { '0', '9' } };
static const struct regex_range spaces[] = { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } };
static const struct regex_range words[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
static const struct regex_range letters[] = { { 'A', 'Z' }, { 'a', 'z' } };
static const struct regex_range alnum[] = { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } };
static const struct regex_range ascii[] = { { 0, 0x7f } };
static const struct regex_range blank[] = { { '\t', '\t' }, { ' ', ' ' } };
static const struct regex_range control[] = { { 0, 0x1f }, { 0x7f, 0x7f } };
static const struct regex_range graph[] = { { '!', '~' } };
static const struct regex_range print[] = { { ' ', '~' } };
static const struct regex_range lower[] = { { 'a', 'z' } };
static const struct regex_range upper[] = { { 'A', 'Z' } };
static const struct regex_range punct[] = { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } };
static const struct regex_range space_posix[] = { { '\t', '\r' }, { ' ', ' ' } };
static const struct regex_range hex[] = { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } };

#define GROUP(name, ranges)                      \
	{                                        \
		name, ranges, ARRAY_SIZE(ranges) \
	}
static const struct group {
	const char *name;
	const struct regex_range *ranges;
	size_t n;
} perl_groups[] = { GROUP("d", digits), GROUP("s", spaces), GROUP("w", words) }, posix_groups[] = {
	GROUP("alnum", alnum), GROUP("alpha", letters),	    GROUP("ascii", ascii),
	GROUP("blank", blank), GROUP("cntrl", control),	    GROUP("digit", digits),
	GROUP("graph", graph), GROUP("lower", lower),	    GROUP("print", print),
	GROUP("punct", punct), GROUP("space", space_posix), GROUP("upper", upper),
	GROUP("word", words),  GROUP("xdigit", hex),
};

/* Names that Go knows, of Unicode 15. PCRE2 takes more spellings of them; those are refused as Go refuses them. */
static const char categories[] =
	" C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs ";
static const char scripts[] =
	" Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi"
	" Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform"
	" Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic"
	" Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew"
	" Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kayah_Li"
	" Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani"
	" Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive"
	" Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean Nandinagari New_Tai_Lue Newa Nko Nushu"
	" Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian"
	" Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician"
	" Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo"
	" Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai"
	" Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square ";

void regex_fail(struct regex_reader *r, const char *at, const char *what)
{
	if (r->error)
		return;
	r->error = what;
	r->error_at = at;
}

struct regex_class *regex_class_new(struct regex_reader *r)
{
	struct regex_class *c = arena_alloc(r->arena, sizeof(*c));

	r->no_memory |= !c;
	return c;
}

/* --- ranges --- */

static bool add_range(struct regex_reader *r, struct regex_class *c, uint32_t lo, uint32_t hi)
{
	if (c->n == c->size) {
		size_t size = c->size ? c->size * 2 : 8;
		struct regex_range *more = arena_alloc(r->arena, size * sizeof(*more));

		if (!more) {
			r->no_memory = true;
			return false;
		}
		if (c->n)
			memcpy(more, c->ranges, c->n * sizeof(*more));
		c->ranges = more;
		c->size = size;
	}
	c->ranges[c->n++] = (struct regex_range){ lo, hi };
	return true;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct regex_range *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static void merge(struct regex_class *c)
{
	size_t n = 0;

	if (!c->n)
		return;
	qsort(c->ranges, c->n, sizeof(*c->ranges), compare_ranges);
	for (size_t i = 1; i < c->n; i++)
		if (c->ranges[i].lo <= c->ranges[n].hi + 1)
			c->ranges[n].hi = MAX(c->ranges[n].hi, c->ranges[i].hi);
		else
			c->ranges[++n] = c->ranges[i];
	c->n = n + 1;
}

/* All that are in none of the (merged) ranges of @from. */
static bool add_negated(struct regex_reader *r, struct regex_class *c,
			const struct regex_range *from, size_t n)
{
	uint32_t next = 0;

	for (size_t i = 0; i < n; i++) {
		if (from[i].lo > next && !add_range(r, c, next, from[i].lo - 1))
			return false;
		next = from[i].hi + 1;
	}
	return next > UNICODE_MAX || add_range(r, c, next, UNICODE_MAX);
}

static bool inside(uint32_t c, uint32_t lo, uint32_t hi)
{
	return c >= lo && c <= hi;
}

static bool add_orbit(struct regex_reader *r, struct regex_class *c, uint32_t of)
{
	uint32_t orbit[UNICODE_ORBIT_MAX];
	size_t n = unicode_orbit(of, orbit);

	for (size_t i = 1; i < n; i++)
		if (!add_range(r, c, orbit[i], orbit[i]))
			return false;
	return true;
}

/* One range and, without regard to case, all that equal something in it. */
static bool add_folded(struct regex_reader *r, struct regex_class *c, uint32_t lo, uint32_t hi)
{
	if (!add_range(r, c, lo, hi))
		return false;
	for (size_t i = 0; r->fold && i < unicode_n_fold; i++) {
		const struct unicode_run *run = &unicode_fold[i];
		uint32_t to = (uint32_t)((int32_t)run->first + run->delta);

		if ((run->first > hi || run->last < lo) &&
		    (to > hi || (uint32_t)((int32_t)run->last + run->delta) < lo))
			continue;
		for (uint32_t at = run->first; at <= run->last; at += (uint32_t)run->step) {
			uint32_t folded = (uint32_t)((int32_t)at + run->delta);

			if (inside(at, lo, hi) != inside(folded, lo, hi) &&
			    !add_orbit(r, c, inside(at, lo, hi) ? at : folded))
				return false;
		}
	}
	return true;
}

static bool add_group(struct regex_reader *r, struct regex_class *c, const struct group *g,
		      bool negated)
{
	struct regex_class plain = {};

	for (size_t i = 0; i < g->n; i++)
		if (!add_folded(r, negated ? &plain : c, g->ranges[i].lo, g->ranges[i].hi))
			return false;
	merge(&plain);
	return !negated || add_negated(r, c, plain.ranges, plain.n);
}

bool regex_class_done(struct regex_reader *r, struct regex_class *c)
{
	struct regex_class turned = {};

	merge(c);
	if (!c->negated || c->properties)
		return true;
	if (!add_negated(r, &turned, c->ranges, c->n))
		return false;
	*c = turned;
	return true;
}

/* --- escapes --- */

static int unhex(uint32_t c)
{
	if (c >= '0' && c <= '9')
		return (int)c - '0';
	if (c >= 'a' && c <= 'f')
		return (int)c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? (int)c - 'A' + 10 : -1;
}

static bool read_octal(struct regex_reader *r, uint32_t first, uint32_t *ret)
{
	*ret = first;
	for (int i = 1; i < 3 && r->at < r->end && *r->at >= '0' && *r->at <= '7'; i++)
		*ret = *ret * 8 + (uint32_t)(*r->at++ - '0');
	return true;
}

/* Behind \x: two digits, or any number of them in braces. */
static bool read_hex(struct regex_reader *r, uint32_t *ret)
{
	uint32_t v = 0;
	size_t n = 0;

	if (r->at < r->end && *r->at == '{') {
		for (r->at++; r->at < r->end && unhex((uint8_t)*r->at) >= 0; r->at++, n++) {
			v = v * 16 + (uint32_t)unhex((uint8_t)*r->at);
			if (v > UNICODE_MAX)
				return false;
		}
		if (!n || r->at == r->end || *r->at++ != '}')
			return false;
		*ret = v;
		return true;
	}
	for (; n < 2 && r->at < r->end && unhex((uint8_t)*r->at) >= 0; r->at++, n++)
		v = v * 16 + (uint32_t)unhex((uint8_t)*r->at);
	*ret = v;
	return n == 2;
}

static bool is_alnum(uint32_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* At '\': one code point. Everything that Go does not know is refused, so PCRE2 never sees it. */
bool regex_read_escape(struct regex_reader *r, uint32_t *ret)
{
	static const char letters_of[] = "afnrtv", meanings[] = "\a\f\n\r\t\v";
	const char *before = r->at, *found;
	size_t len;
	uint32_t c;

	if (++r->at == r->end) {
		regex_fail(r, before, "backslash at the end");
		return false;
	}
	c = unicode_get(r->at, (size_t)(r->end - r->at), &len);
	r->at += len;
	if (c < 0x80 && !is_alnum(c)) {
		*ret = c;
		return true;
	}
	if (c == '0' || (c >= '1' && c <= '7' && r->at < r->end && *r->at >= '0' && *r->at <= '7'))
		return read_octal(r, c - '0', ret);
	if (c == 'x' && read_hex(r, ret))
		return true;
	found = c < 0x80 ? strchr(letters_of, (int)c) : NULL;
	if (found && *found) {
		*ret = (uint8_t)meanings[found - letters_of];
		return true;
	}
	regex_fail(r, before,
		   c >= '1' && c <= '9' ? "back-references are not supported"
					: "unknown escape sequence");
	return false;
}

static bool known_name(const char *names, const char *name, size_t len)
{
	for (const char *at = names; (at = memmem(at, strlen(at), name, len)); at++)
		if (at[-1] == ' ' && at[len] == ' ')
			return true;
	return false;
}

static bool add_property(struct regex_reader *r, struct regex_class *c, const char *name,
			 size_t len, bool negated)
{
	struct regex_property *p;
	bool script;
	char *text;

	if (len == 3 && memcmp(name, "Any", 3) == 0)
		return negated || add_range(r, c, 0, UNICODE_MAX);
	if (len == 0 || memchr(name, ' ', len))
		return false;
	script = !known_name(categories, name, len);
	if (script && !known_name(scripts, name, len))
		return false;
	p = arena_alloc(r->arena, sizeof(*p));
	text = arena_alloc(r->arena, len + 4);
	if (!p || !text) {
		r->no_memory = true;
		return false;
	}
	(void)snprintf(text, len + 4, "%s%.*s", script ? "sc:" : "", (int)len, name);
	*p = (struct regex_property){
		.name = text, .negated = negated, .fold = r->fold, .next = c->properties
	};
	c->properties = p;
	return true;
}

static int read_property(struct regex_reader *r, struct regex_class *c)
{
	const char *before = r->at, *name = r->at + 2, *stop;
	bool negated = r->at[1] == 'P';
	size_t len;

	if (name == r->end) {
		regex_fail(r, before, "unknown character property");
		return -1;
	}
	if (*name == '{') {
		stop = memchr(name, '}', (size_t)(r->end - name));
		r->at = stop ? stop + 1 : r->end;
		len = stop ? (size_t)(stop - ++name) : 0;
	} else {
		(void)unicode_get(name, (size_t)(r->end - name), &len);
		r->at = name + len;
	}
	if (len && *name == '^') {
		negated = !negated;
		name++;
		len--;
	}
	if (!add_property(r, c, name, len, negated)) {
		regex_fail(r, before, "unknown character property");
		return -1;
	}
	return 1;
}

int regex_read_group(struct regex_reader *r, struct regex_class *c)
{
	if (r->end - r->at < 2 || *r->at != '\\')
		return 0;
	if (r->at[1] == 'p' || r->at[1] == 'P')
		return read_property(r, c);
	for (size_t i = 0; i < ARRAY_SIZE(perl_groups); i++) {
		char plain = perl_groups[i].name[0];

		if (r->at[1] != plain && r->at[1] != plain - 32)
			continue;
		if (!add_group(r, c, &perl_groups[i], r->at[1] != plain))
			return -1;
		r->at += 2;
		return 1;
	}
	return 0;
}

/* [:alpha:] and [:^alpha:]. 1: read; 0: a '[' that means itself; -1: wrong. */
static int read_posix(struct regex_reader *r, struct regex_class *c)
{
	const char *name = r->at + 2, *stop;
	bool negated;

	if (r->end - r->at <= 2 || r->at[0] != '[' || r->at[1] != ':')
		return 0;
	stop = memmem(name, (size_t)(r->end - name), ":]", 2);
	if (!stop)
		return 0;
	negated = *name == '^';
	name += negated;
	for (size_t i = 0; i < ARRAY_SIZE(posix_groups); i++)
		if (stop >= name && strlen(posix_groups[i].name) == (size_t)(stop - name) &&
		    memcmp(posix_groups[i].name, name, (size_t)(stop - name)) == 0) {
			r->at = stop + 2;
			return add_group(r, c, &posix_groups[i], negated) ? 1 : -1;
		}
	regex_fail(r, r->at, "unknown character class");
	return -1;
}

static bool read_class_char(struct regex_reader *r, uint32_t *ret)
{
	size_t len;

	if (r->at == r->end) {
		regex_fail(r, r->start, "missing closing ]");
		return false;
	}
	if (*r->at == '\\')
		return regex_read_escape(r, ret);
	*ret = unicode_get(r->at, (size_t)(r->end - r->at), &len);
	r->at += len;
	return true;
}

static bool read_range(struct regex_reader *r, struct regex_class *c)
{
	const char *before = r->at;
	uint32_t lo, hi;

	if (!read_class_char(r, &lo))
		return false;
	hi = lo;
	if (r->end - r->at >= 2 && r->at[0] == '-' && r->at[1] != ']') {
		r->at++;
		if (!read_class_char(r, &hi))
			return false;
		if (hi < lo) {
			regex_fail(r, before, "the range of characters ends before it begins");
			return false;
		}
	}
	return add_folded(r, c, lo, hi);
}

bool regex_read_class(struct regex_reader *r, struct regex_class **ret)
{
	struct regex_class *c = regex_class_new(r);
	const char *open = r->at++;

	if (!c)
		return false;
	if (r->at < r->end && *r->at == '^') {
		c->negated = true;
		r->at++;
	}
	for (bool first = true; r->at == r->end || *r->at != ']' || first; first = false) {
		int found = read_posix(r, c);

		if (!found)
			found = regex_read_group(r, c);
		if (found < 0)
			return false;
		if (r->at == r->end) {
			regex_fail(r, open, "missing closing ]");
			return false;
		}
		if (!found && !read_range(r, c))
			return false;
	}
	r->at++;
	*ret = c;
	return regex_class_done(r, c);
}
