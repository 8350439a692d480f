/* SPDX-License-Identifier: ISC */
/*
 * scan_report: what a scan found, could not read and left out, for a person or as JSON. Names
 * places, secrets, versions and encodings; it never sees a value.
 */
#ifndef MORTISE_CLI_SCAN_REPORT_H
#define MORTISE_CLI_SCAN_REPORT_H

#include <jansson.h>

#include "progress.h"
#include "scan_values.h"

#define SCAN_RECENT 64

/* The text that is now searched. */
struct scan_place {
	const char *file;   /* "-": standard input; in a history the path, "" for what has none */
	const char *git;    /* the directory of the history, or NULL */
	const char *commit; /* where the file occurs first */
};

struct scan_report {
	const struct cli *cli;
	const struct scan_values *values;
	struct progress progress;
	struct scan_place place;
	bool is_unpacked; /* what is searched now was compressed in that place */
	struct {
		uint64_t offset;
		uint32_t value;
	} recent[SCAN_RECENT]; /* several forms of a value may begin at one byte */
	unsigned recent_count;
	uint64_t listed, more; /* here */
	uint64_t texts, bytes, found, unreadable;
	uint64_t special, links, opaque; /* left out; the last were searched as they are, packed */
	uint64_t histories, submodules;  /* repositories that were seen, and that name others */
	json_t *findings, *failures;
	bool lacks_memory;
};

void scan_report_init(
	struct scan_report *report, const struct cli *cli, const struct scan_values *values);
void scan_report_done(struct scan_report *report);

void scan_report_begin(struct scan_report *report, const struct scan_place *place);
/* A scan_stream_found; context is the report. */
void scan_report_found(void *context, uint32_t tag, uint64_t offset, uint64_t line);
/* The place is done; so many bytes were searched. */
void scan_report_end(struct scan_report *report, uint64_t bytes);

void scan_report_unreadable(struct scan_report *report, const char *name, const char *why);
/* The place that was begun. */
void scan_report_unreadable_here(struct scan_report *report, const char *why);

/* Says what was done; the exit status. */
int scan_report_finish(struct scan_report *report);

#endif
