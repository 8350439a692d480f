/* SPDX-License-Identifier: ISC */
/* scan: does a stored value occur in these files, trees, histories, or on standard input? */
#include <limits.h>
#include <string.h>

#include "args.h"
#include "output.h"
#include "scan_walk.h"

static bool has_values(const struct scan_values *values)
{
	return scan_match_count(values->match) > 0;
}

/* A scan for nothing finds nothing, which would read as if all were well. */
static int refuse(const struct cli *cli, const struct scan_values *values)
{
	if (values->denied > 0 && values->value_count == 0)
		return output_fail(cli, MORTISE_DENIED,
			"nothing to look for: of %zu secrets that you may list you may read none",
			values->secret_count);
	if (values->too_short > 0)
		return output_fail(cli, MORTISE_NOT_FOUND,
			"nothing to look for: all values have less than 8 bytes");
	return output_fail(cli, MORTISE_NOT_FOUND,
		"nothing to look for: no secret that you may list and read; see: mortise list -r");
}

static int search(struct cli *cli, const struct scan_values *values)
{
	struct scan_report report;
	struct scan_reader reader;
	int ending;

	scan_report_init(&report, cli, values);
	if (scan_reader_init(&reader, &report) != MORTISE_OK) {
		scan_report_done(&report);
		return output_fail(cli, MORTISE_IO, "out of memory");
	}
	for (int i = 0; i < cli->operand_count; i++)
		scan_walk(&reader, cli->operands[i]);
	for (int i = 0; i < cli->given_count; i++)
		if (strcmp(cli->given[i].option->name, "git") == 0)
			scan_git(&reader, cli->given[i].value);
	scan_reader_done(&reader);
	ending = scan_report_finish(&report);
	scan_report_done(&report);
	return ending;
}

static int scan(struct cli *cli)
{
	struct scan_values values = {.match = NULL};
	int ending;

	if (cli->operand_count == 0 && !args_has(cli, "git"))
		return output_fail(cli, MORTISE_INVALID,
			"scan what? name files or directories, - for standard input, or --git=DIR");
	ending = scan_values_collect(cli, &values);
	if (ending == CLI_DONE)
		ending = has_values(&values) ? search(cli, &values) : refuse(cli, &values);
	scan_values_done(&values);
	return ending;
}

static const struct option options[] = {
	{"git", 0, "DIR", "the history of the git repository at DIR, too"},
	{"only", 0, "PREFIX", "only values of secrets below PREFIX; may be repeated"},
	{"current", 0, NULL, "only current versions, not the old ones that are kept"},
	{0},
};

const struct command command_scan = {
	.name = "scan",
	.operands = "FILE|DIRECTORY|-...",
	.summary = "look for stored values in files, logs and git histories",
	.options = options,
	.most = INT_MAX,
	.verb = "read",
	.exits = {CLI_FOUND, CLI_NOT_FOUND},
	.notes = "Looks for every value that you may list and read, as it is and as base64, hex,\n"
		 "URLs, JSON, XML, YAML, SQL and shells spell it; in trees, in files of any kind, "
		 "and\n"
		 "in what is compressed with gzip. Prints file, line, byte, secret, version and\n"
		 "encoding, never the value. A history is searched whole: every file that any\n"
		 "branch, tag or reflog reaches, at the commit where it occurs first, and the\n"
		 "messages. Links in trees are not followed. Values of less than 8 bytes are left\n"
		 "out, and that is said. Each value is on record as read, and counts for rates.\n"
		 "Exit status 1 if something was found, 74 if something could not be read.",
	.examples = "  mortise scan /etc /var/log\n"
		    "  mortise scan --only=prod --git=. src\n"
		    "  journalctl -o export | mortise scan -",
	.run = scan,
};
