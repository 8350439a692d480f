/* SPDX-License-Identifier: ISC */
/* listing: all paths below a prefix that the caller may see, page by page. */
#ifndef MORTISE_CLI_LISTING_H
#define MORTISE_CLI_LISTING_H

#include "cli.h"

struct listing_entry {
	char path[MORTISE_PATH_MAX + 2]; /* with a '/' at its end it stands for all below */
	uint64_t version, created_us;
	bool is_deleted;
	uint64_t current_us, max_age_s; /* of those that have a max-age; else 0 */
};

struct listing {
	struct listing_entry *entries;
	size_t count, capacity;
};

/* A prefix without '/' at its end, or "" for all. The listing is the caller's also on failure. */
enum mortise_status listing_collect(struct cli *cli, const char *prefix, struct listing *listing)
	MUST_USE;
/* Has its current version been that for longer than its max-age? */
bool listing_is_due(const struct listing_entry *entry, uint64_t now_us);
void listing_done(struct listing *listing);

#endif
