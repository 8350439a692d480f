/* SPDX-License-Identifier: ISC */
/* hygiene: prints what is unwise about the secrets. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "hygiene.h"
#include "output.h"
#include "when.h"

static json_t *describe(const struct hygiene_finding *finding)
{
	json_t *object = json_pack("{s:s, s:o}", "kind", hygiene_word(finding->kind), "path",
		output_json_said(finding->path));
	char made[WHEN_TEXT_SIZE];

	if (object != NULL && finding->group != 0)
		(void)json_object_set_new(object, "group", output_json_number(finding->group));
	when_format_utc(finding->made_us, made);
	if (object != NULL && finding->made_us != 0)
		(void)json_object_set_new(object, "made", json_string(made));
	return object;
}

static int print_json(const struct hygiene *hygiene)
{
	json_t *findings = json_array();

	for (size_t i = 0; i < hygiene->count; i++)
		(void)json_array_append_new(findings, describe(&hygiene->findings[i]));
	return output_json(
		json_pack("{s:o, s:b}", "findings", findings, "log_examined", hygiene->has_log));
}

static bool is_beside(const struct hygiene_finding *one, const struct hygiene_finding *other)
{
	return one->group != 0 && one->kind == other->kind && one->group == other->group;
}

/* A line a secret, and one for all that share a value. */
static void print_findings(const struct hygiene *hygiene)
{
	for (size_t i = 0; i < hygiene->count; i++) {
		const struct hygiene_finding *finding = &hygiene->findings[i];
		char made[WHEN_TEXT_SIZE];

		if (i > 0 && is_beside(finding, finding - 1)) {
			(void)putchar(' ');
		} else
			printf("%s%s: ", i > 0 ? "\n" : "", hygiene_text(finding->kind));
		output_text(finding->path);
		when_format_local(finding->made_us, made);
		if (finding->made_us != 0)
			printf(", of %s", made);
	}
	if (hygiene->count > 0)
		(void)putchar('\n');
}

static int hygiene(struct cli *cli)
{
	struct hygiene found = {0};
	uint64_t older_than_us;
	int ending = hygiene_read_age(cli, &older_than_us);

	if (ending != CLI_DONE)
		return ending;
	enum mortise_status status = hygiene_collect(cli, older_than_us, &found);
	if (status != MORTISE_OK) {
		hygiene_done(&found);
		return ask_fail(cli, status, NULL);
	}
	ending = found.count > 0 ? CLI_FOUND : CLI_DONE;
	if (!found.has_log)
		output_note("what was never read is not known: it needs the verb audit, too");
	if (cli->is_json && print_json(&found) != CLI_DONE)
		ending = CLI_IO;
	if (!cli->is_json)
		print_findings(&found);
	if (!cli->is_json && found.count == 0)
		output_note("%llu secrets were examined: nothing was found",
			(unsigned long long)found.examined);
	hygiene_done(&found);
	return ending;
}

static const struct option options[] = {
	{"older-than", 0, "TIME", "also values older than that, like 90d"},
	{0},
};

const struct command command_hygiene = {
	.name = "hygiene",
	.operands = "",
	.summary = "find values that are used twice, too old, or never read",
	.options = options,
	.verb = "admin",
	.exits = {CLI_FOUND, CLI_INTEGRITY, CLI_CONFLICT},
	.notes =
		"The agent compares fingerprints under a key of its own, and tells which secrets "
		"share "
		"a\n"
		"value; neither values nor fingerprints leave it. Empty values are left out. What "
		"was "
		"never\n"
		"read is seen in the audit log, by the present path, and needs the verbs audit and "
		"list.\n"
		"Exit status 1: something was found.",
	.examples = "  mortise hygiene\n"
		    "  mortise hygiene --older-than=365d --json",
	.run = hygiene,
};
