/* SPDX-License-Identifier: ISC */
/* list: all paths below a prefix that the caller may see, page by page. */
#ifndef MORTISE_CLI_LIST_H
#define MORTISE_CLI_LIST_H

#include "cli.h"

struct listing_entry {
	char *path; /* with a '/' at its end it stands for all below */
	uint64_t version, created_us;
	uint64_t due_us; /* when its value is too old; 0: never */
	bool is_deleted;
};

struct listing;

/* Is the entry of use? It may cut the path. */
typedef bool listing_take(
	void *context, const struct listing *listing, const struct listing_entry *entry);

struct listing {
	listing_take *takes; /* then of what is of use one of each is kept; NULL: all is */
	void *context;
	struct listing_entry *entries;
	size_t count, settled; /* so many of them are sorted, and one of each */
	uint64_t now_us; /* by the agent's clock, which does not believe the host's at all times */
};

/* A prefix without '/' at its end, or "" for all. The listing is the caller's also on failure. */
enum mortise_status listing_collect(struct cli *cli, const char *prefix, struct listing *listing)
	MUST_USE;

/* Cuts a path that is deeper than the level below prefix, behind its '/'. */
void listing_fold(const struct listing_entry *entry, const char *prefix);
/* Sorts by path, and keeps one of each. */
void listing_settle(struct listing *listing);
void listing_done(struct listing *listing);

#endif
