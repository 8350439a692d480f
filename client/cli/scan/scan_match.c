/* SPDX-License-Identifier: ISC */
#include "scan_match.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Memory for values that grows by moving pages: nothing is copied, so nothing is left behind. It
 * goes into no core dump, and is wiped in the end.
 */

/* All zero is an empty one. */
struct scan_region {
	uint8_t *bytes;
	size_t used, capacity;
};

#define FIRST_CAPACITY 65536

/* Makes room for size more bytes, and does not use them. False without memory. */
static bool scan_region_grow(struct scan_region *region, size_t size)
{
	size_t capacity = region->capacity;
	void *bytes;

	while (region->used + size > capacity)
		capacity = capacity == 0 ? FIRST_CAPACITY : 2 * capacity;
	if (capacity == region->capacity)
		return true;
	if (!region->bytes)
		bytes = mmap(
			NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	else
		bytes = mremap(region->bytes, region->capacity, capacity, MREMAP_MAYMOVE);
	if (bytes == MAP_FAILED)
		return false;
	(void)madvise(bytes, capacity, MADV_DONTDUMP);
	region->bytes = bytes;
	region->capacity = capacity;
	return true;
}

/* Takes an empty one. */
static void scan_region_release(struct scan_region *region)
{
	if (!region->bytes)
		return;
	mortise_wipe(region->bytes, region->used);
	(void)munmap(region->bytes, region->capacity);
	*region = (struct scan_region){0};
}

#define WINDOW_MAX      24 /* a longer stride would only make the filter larger */
#define WINDOW_MANY     16 /* of so many stems that their grams would fill the memory */
#define MANY_STEMS      65536
#define CENSUS_BITS     18
#define FILTER_BITS_MIN 16
#define FILTER_BITS_MAX 24
#define NONE            UINT32_MAX
#define RECENT          64   /* stems among which that of a further form is looked for */
#define PLAIN_WITHIN    1024 /* bytes of a long string in which its stem is looked for */
#define MULTIPLIER      UINT64_C(0x9e3779b97f4a7c15)

/*
 * What of needles is kept: all of a short one, or up to SCAN_MATCH_KEPT bytes that some have in
 * common, as long forms of one value do: however it is written, its letters and digits stay.
 */
struct stem {
	uint32_t at; /* in the region of strings */
	uint32_t size, first;
};

struct needle {
	uint64_t check; /* hash of all of it, if it is longer than what is kept */
	uint32_t size, tag;
	uint32_t before; /* bytes of it in front of its stem */
	uint32_t next;   /* of the same stem; NONE */
};

/* A gram of a stem's window: the low 24 bits of its hash, and 8 for where in the stem it is. */
struct entry {
	uint32_t stem, check;
};

_Static_assert(SCAN_MATCH_KEPT < 256, "a gram's offset has 8 bits");

struct scan_match {
	struct scan_region strings, stems, needles, entries, slots, filter;
	size_t shortest, longest, before, behind;
	size_t gram, stride;
	uint64_t mask; /* the bytes of a gram */
	unsigned slot_shift, filter_shift;
};

/* Of a string, what is kept. */
struct part {
	size_t at, size;
};

static struct needle *needles_of(const struct scan_match *match)
{
	return (struct needle *)(void *)match->needles.bytes;
}

static struct stem *stems_of(const struct scan_match *match)
{
	return (struct stem *)(void *)match->stems.bytes;
}

static size_t count_stems(const struct scan_match *match)
{
	return match->stems.used / sizeof(struct stem);
}

struct scan_match *scan_match_new(void)
{
	struct scan_match *match = calloc(1, sizeof *match);

	if (match)
		match->shortest = SIZE_MAX;
	return match;
}

void scan_match_free(struct scan_match **match)
{
	if (!*match)
		return;
	scan_region_release(&(*match)->strings);
	scan_region_release(&(*match)->stems);
	scan_region_release(&(*match)->needles);
	scan_region_release(&(*match)->entries);
	scan_region_release(&(*match)->slots);
	scan_region_release(&(*match)->filter);
	free(*match);
	*match = NULL;
}

static uint64_t load(const uint8_t *bytes)
{
	uint64_t number;

	memcpy(&number, bytes, sizeof number);
	return number;
}

/* Nobody has an interest in a collision. */
uint64_t scan_match_hash(const uint8_t *bytes, size_t size)
{
	uint64_t hash = size;

	for (; size >= 8; bytes += 8, size -= 8) {
		hash = (hash ^ load(bytes)) * MULTIPLIER;
		hash ^= hash >> 32;
	}
	for (; size > 0; bytes++, size--) {
		hash = (hash ^ *bytes) * MULTIPLIER;
		hash ^= hash >> 32;
	}
	return hash;
}

static bool is_plain(uint8_t byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= 'a' && byte <= 'z');
}

/* Of a long string: the first letters and digits that fill a window; else its beginning. */
static struct part choose_part(const uint8_t *bytes, size_t size)
{
	size_t run = 0, end = size < PLAIN_WITHIN ? size : PLAIN_WITHIN;

	for (size_t at = 0; at < end; at++) {
		run = is_plain(bytes[at]) ? run + 1 : 0;
		if (run == SCAN_MATCH_KEPT ||
			(run >= WINDOW_MAX && (at + 1 == end || !is_plain(bytes[at + 1]))))
			return (struct part){at + 1 - run, run};
	}
	return (struct part){0, SCAN_MATCH_KEPT};
}

/* A recent stem that other long strings have; NULL: there is none. */
static struct stem *find_stem(const struct scan_match *match, const uint8_t *bytes, size_t size)
{
	size_t count = count_stems(match);

	for (size_t i = 0; i < RECENT && i < count; i++) {
		struct stem *stem = &stems_of(match)[count - 1 - i];

		if (stem->size == size && needles_of(match)[stem->first].size > SCAN_MATCH_KEPT &&
			memcmp(match->strings.bytes + stem->at, bytes, size) == 0)
			return stem;
	}
	return NULL;
}

static bool add_stem(struct scan_match *match, const uint8_t *bytes, size_t kept, uint32_t needle)
{
	struct stem stem = {(uint32_t)match->strings.used, (uint32_t)kept, needle};

	if (match->strings.used > UINT32_MAX - SCAN_MATCH_KEPT ||
		!scan_region_grow(&match->strings, kept + SCAN_MATCH_PADDING) ||
		!scan_region_grow(&match->stems, sizeof stem))
		return false;
	memcpy(match->strings.bytes + stem.at, bytes, kept);
	match->strings.used += kept;
	memcpy(match->stems.bytes + match->stems.used, &stem, sizeof stem);
	match->stems.used += sizeof stem;
	return true;
}

enum mortise_status scan_match_add(
	struct scan_match *match, const uint8_t *bytes, size_t size, uint32_t tag)
{
	struct needle needle = {.size = (uint32_t)size, .tag = tag, .next = NONE};
	uint32_t number = (uint32_t)scan_match_count(match);
	struct part part = {0, size};
	struct stem *stem = NULL;

	if (size < SCAN_MATCH_SHORTEST || size > UINT32_MAX)
		return MORTISE_INVALID;
	if (size > SCAN_MATCH_KEPT) {
		part = choose_part(bytes, size);
		stem = find_stem(match, bytes + part.at, part.size);
		needle.check = scan_match_hash(bytes, size);
		needle.before = (uint32_t)part.at;
	}
	if (!scan_region_grow(&match->needles, sizeof needle) ||
		(!stem && !add_stem(match, bytes + part.at, part.size, number)))
		return MORTISE_IO;
	match->before = part.at > match->before ? part.at : match->before;
	if (stem) {
		needle.next = stem->first;
		stem->first = number;
	}
	memcpy(match->needles.bytes + match->needles.used, &needle, sizeof needle);
	match->needles.used += sizeof needle;
	match->shortest = size < match->shortest ? size : match->shortest;
	match->longest = size > match->longest ? size : match->longest;
	return MORTISE_OK;
}

static uint32_t hash_gram(const struct scan_match *match, const uint8_t *bytes)
{
	return (uint32_t)((load(bytes) & match->mask) * MULTIPLIER >> 32);
}

/* A longer gram passes the filter less often, a longer stride asks it less often. */
static void choose_gram(struct scan_match *match)
{
	size_t most = count_stems(match) > MANY_STEMS ? WINDOW_MANY : WINDOW_MAX;
	size_t window = match->shortest < most ? match->shortest : most;

	match->gram = window < 12 ? 4 : window < 16 ? 6 : 8;
	match->stride = window - match->gram + 1;
	match->mask = match->gram == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * match->gram) - 1;
}

/* How many grams of a stem may be in its window. */
static size_t grams_of(const struct scan_match *match, const struct stem *stem)
{
	return stem->size - match->gram + 1;
}

/* "000000" and the like stand in many texts, though perhaps in one string only. */
static uint32_t weight_of(
	const struct scan_match *match, const uint32_t *census, const uint8_t *gram)
{
	uint64_t same = UINT64_C(0x0101010101010101) * gram[0];
	uint32_t weight = census[hash_gram(match, gram) >> (32 - CENSUS_BITS)];

	return ((load(gram) ^ same) & match->mask) == 0 ? weight + UINT16_MAX : weight;
}

/* The window whose grams are the rarest among those of all stems. */
static uint32_t choose_window(
	const struct scan_match *match, const uint32_t *census, const struct stem *stem)
{
	const uint8_t *bytes = match->strings.bytes + stem->at;
	size_t grams = grams_of(match, stem);
	uint64_t sum = 0, best = UINT64_MAX;
	uint32_t chosen = 0;

	for (size_t i = 0; i < grams; i++) {
		sum += weight_of(match, census, bytes + i);
		if (i + 1 < match->stride)
			continue;
		if (sum < best) {
			best = sum;
			chosen = (uint32_t)(i + 1 - match->stride);
		}
		sum -= weight_of(match, census, bytes + i + 1 - match->stride);
	}
	return chosen;
}

static void take_census(const struct scan_match *match, uint32_t *census)
{
	const struct stem *stems = stems_of(match);

	for (size_t i = 0; i < count_stems(match); i++)
		for (size_t at = 0; at < grams_of(match, &stems[i]); at++)
			census[hash_gram(match, match->strings.bytes + stems[i].at + at) >>
				(32 - CENSUS_BITS)]++;
}

static unsigned bits_for(size_t count, unsigned least, unsigned most)
{
	unsigned bits = least;

	while (bits < most && count >> bits > 0)
		bits++;
	return bits;
}

static bool make_room(struct scan_match *match, size_t count)
{
	unsigned slot_bits = bits_for(count, 8, 24);
	unsigned filter_bits = bits_for(32 * count, FILTER_BITS_MIN, FILTER_BITS_MAX);

	match->slot_shift = 32 - slot_bits;
	match->filter_shift = 32 - filter_bits;
	if (!scan_region_grow(&match->entries, count * sizeof(struct entry)) ||
		!scan_region_grow(
			&match->slots, (((size_t)1 << slot_bits) + 2) * sizeof(uint32_t)) ||
		!scan_region_grow(&match->filter, (size_t)1 << (filter_bits - 3)))
		return false;
	match->entries.used = count * sizeof(struct entry);
	match->slots.used = (((size_t)1 << slot_bits) + 2) * sizeof(uint32_t);
	match->filter.used = (size_t)1 << (filter_bits - 3);
	return true;
}

static void put_window(struct scan_match *match, uint32_t stem, uint32_t window, bool is_counting)
{
	const uint8_t *bytes = match->strings.bytes + stems_of(match)[stem].at;
	struct entry *entries = (struct entry *)(void *)match->entries.bytes;
	uint32_t *slots = (uint32_t *)(void *)match->slots.bytes;

	for (uint32_t at = window; at < window + match->stride; at++) {
		uint32_t hash = hash_gram(match, bytes + at), slot = hash >> match->slot_shift;
		uint32_t bit = hash >> match->filter_shift;

		if (is_counting) {
			slots[slot + 1]++;
			match->filter.bytes[bit >> 3] |= (uint8_t)(1U << (bit & 7));
			match->behind = at > match->behind ? at : match->behind;
		} else {
			entries[--slots[slot + 1]] = (struct entry){stem, hash << 8 | at};
		}
	}
}

/*
 * Entries of one slot stand side by side: counted first, then put from each slot's end to its
 * start, after which slots[i + 1] is the start of slot i, and slots[i + 2] its end.
 */
static void fill(struct scan_match *match, const uint32_t *windows)
{
	uint32_t *slots = (uint32_t *)(void *)match->slots.bytes;
	size_t slot_count = match->slots.used / sizeof *slots, count = count_stems(match);

	for (size_t i = 0; i < count; i++)
		put_window(match, (uint32_t)i, windows[i], true);
	for (size_t i = 1; i < slot_count; i++)
		slots[i] += slots[i - 1];
	for (size_t i = 0; i < count; i++)
		put_window(match, (uint32_t)i, windows[i], false);
}

enum mortise_status scan_match_prepare(struct scan_match *match)
{
	size_t count = count_stems(match);
	uint32_t *census, *windows;

	if (count == 0)
		return MORTISE_OK;
	choose_gram(match);
	if (count * match->stride > UINT32_MAX || !make_room(match, count * match->stride))
		return MORTISE_IO;
	census = calloc((size_t)1 << CENSUS_BITS, sizeof *census);
	windows = calloc(count, sizeof *windows);
	if (census && windows) {
		take_census(match, census);
		for (size_t i = 0; i < count; i++)
			windows[i] = choose_window(match, census, &stems_of(match)[i]);
		fill(match, windows);
	}
	free(census);
	free(windows);
	/* Only now: what is locked may not be allowed to grow. It may fail, too. */
	(void)mlock(match->strings.bytes, match->strings.used);
	return census && windows ? MORTISE_OK : MORTISE_IO;
}

/* The time that this takes tells nobody anything: what is found is reported. */
static void look_at_stem(const struct scan_match *match, const struct stem *stem,
	const uint8_t *bytes, size_t size, size_t at, scan_match_found *found, void *context)
{
	if (size - at < stem->size ||
		memcmp(bytes + at, match->strings.bytes + stem->at, stem->size) != 0)
		return;
	for (uint32_t i = stem->first; i != NONE; i = needles_of(match)[i].next) {
		const struct needle *needle = &needles_of(match)[i];
		size_t start = at - needle->before;

		if (at >= needle->before && needle->size <= size - start &&
			(needle->size <= SCAN_MATCH_KEPT ||
				scan_match_hash(bytes + start, needle->size) == needle->check))
			found(context, needle->tag, start);
	}
}

/* The filter let a gram pass: is it in a stem's window, and a string there? */
static void look_closer(const struct scan_match *match, uint32_t hash, const uint8_t *bytes,
	size_t size, size_t at, scan_match_found *found, void *context)
{
	const struct entry *entries = (const struct entry *)(void *)match->entries.bytes;
	const uint32_t *slots = (const uint32_t *)(void *)match->slots.bytes;
	uint32_t slot = hash >> match->slot_shift;

	for (uint32_t i = slots[slot + 1]; i < slots[slot + 2]; i++) {
		size_t offset = entries[i].check & 255, start = at - offset;

		if ((entries[i].check ^ hash << 8) >> 8 == 0 && at >= offset)
			look_at_stem(match, &stems_of(match)[entries[i].stem], bytes, size, start,
				found, context);
	}
}

size_t scan_match_search(const struct scan_match *match, const uint8_t *bytes, size_t size,
	size_t from, bool is_last, scan_match_found *found, void *context)
{
	const uint8_t *filter = match->filter.bytes;
	size_t rest = is_last ? match->gram - 1 : match->longest;
	size_t end = size > rest ? size - rest : 0, at = from;

	if (scan_match_count(match) == 0)
		return size;
	for (; at < end; at += match->stride) {
		uint32_t hash = hash_gram(match, bytes + at), bit = hash >> match->filter_shift;

		if ((filter[bit >> 3] >> (bit & 7) & 1) != 0)
			look_closer(match, hash, bytes, size, at, found, context);
	}
	return at;
}

size_t scan_match_longest(const struct scan_match *match)
{
	return match->longest;
}

size_t scan_match_behind(const struct scan_match *match)
{
	return match->behind + match->before;
}

size_t scan_match_count(const struct scan_match *match)
{
	return match->needles.used / sizeof(struct needle);
}
