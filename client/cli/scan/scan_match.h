/* SPDX-License-Identifier: ISC */
/*
 * scan_match: where any of many byte strings occurs in a text, in one pass.
 * The time hardly grows with the number of strings. Exact, but for strings of more than
 * SCAN_MATCH_KEPT bytes, of which the rest is compared by a hash of 64 bits: so the memory for
 * a string is bounded. Keeps the strings, which are values in the clear, in pages of its own, that
 * go into no core dump and are wiped. Knows nothing of files.
 *
 * How: of each string one window as long as the shortest string is chosen, where its grams (runs
 * of a few bytes) are rare among all strings. Grams at all offsets of that window go into a filter
 * of bits, those of long strings that have a piece of letters and digits in common only once. Then
 * it is enough to look at every stride-th gram of the text: one of them lies in the window,
 * wherever the string begins. What passes the filter is compared byte by byte.
 */
#ifndef MORTISE_CLI_SCAN_MATCH_H
#define MORTISE_CLI_SCAN_MATCH_H

#include <stdint.h>

#include "client.h"

#define SCAN_MATCH_SHORTEST 8
#define SCAN_MATCH_KEPT     64
#define SCAN_MATCH_PADDING  8 /* bytes behind a text that may be read */

struct scan_match;

/* A string's occurrence; tag is what it was added with. */
typedef void scan_match_found(void *context, uint32_t tag, size_t at);

struct scan_match *scan_match_new(void);
/* Takes NULL. */
void scan_match_free(struct scan_match **match);

/*
 * Adds a copy of a string of SCAN_MATCH_SHORTEST bytes or more. Equal ones are all reported.
 * MORTISE_IO without memory.
 */
enum mortise_status scan_match_add(
	struct scan_match *match, const uint8_t *bytes, size_t size, uint32_t tag) MUST_USE;

/* After the last string and before the first search. MORTISE_IO without memory. */
enum mortise_status scan_match_prepare(struct scan_match *match) MUST_USE;

/*
 * Reports, in no particular order, what occurs around the grams from bytes[from] on: each
 * occurrence once, if calls go on where the one before ended. Unless is_last, stops where the
 * longest string might go beyond size. Returns where to go on, which may lie beyond size. The
 * scan_match_behind() bytes before that must still be there then.
 */
size_t scan_match_search(const struct scan_match *match, const uint8_t *bytes, size_t size,
	size_t from, bool is_last, scan_match_found *found, void *context);

/* Bytes of the longest string, and how far an occurrence may begin before its gram. */
size_t scan_match_longest(const struct scan_match *match);
size_t scan_match_behind(const struct scan_match *match);

/* Tells strings apart, no more. */
uint64_t scan_match_hash(const uint8_t *bytes, size_t size);

size_t scan_match_count(const struct scan_match *match);

#endif
