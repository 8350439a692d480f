/* SPDX-License-Identifier: ISC */
/* policy who and policy may: what the rules give, to whom, page by page as one table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "policy_caller.h"
#include "policy_grants.h"

#define COLUMNS_MAX 4
#define WIDTH_MAX   60 /* wider cells push the rest of their own line only */

typedef void cells_of(const struct policy_grant *grant, char *cells[COLUMNS_MAX]);

static char *format_cell(const char *before, const char *text, const char *after)
{
	char *cell = NULL;

	return text[0] != '\0' && asprintf(&cell, "%s%s%s", before, text, after) >= 0 ? cell
										      : strdup("");
}

static void cells_of_who(const struct policy_grant *grant, char *cells[COLUMNS_MAX])
{
	char members[512] = "";

	if (grant->members != NULL)
		(void)snprintf(members, sizeof members, " (%.500s%s)",
			grant->members[0] != '\0' ? grant->members : "nobody",
			strlen(grant->members) > 500 ? " ..." : "");
	cells[0] = format_cell("", grant->who, members);
	cells[1] = format_cell(grant->is_deny ? "not " : "", grant->verbs, "");
	cells[2] = format_cell("", grant->conditions, "");
	cells[3] = format_cell("rule ", grant->rule, "");
}

/* "socket web", which is a condition; not who he is, nor a group that he is in. */
static const char *fact_of(const char *who)
{
	static const char *const facts[] = {"unit ", "exe ", "label ", "socket "};

	for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
		if (strncmp(who, facts[i], strlen(facts[i])) == 0)
			return who;
	return "";
}

static void cells_of_may(const struct policy_grant *grant, char *cells[COLUMNS_MAX])
{
	const char *fact = fact_of(grant->who), *secrets = grant->secrets;
	char condition[2 * WIRE_TEXT_MAX + 8];

	if (grant->is_deny && secrets[0] == '\0')
		secrets = "everything";
	(void)snprintf(condition, sizeof condition, "%s%s%s", fact,
		fact[0] != '\0' && grant->conditions[0] != '\0' ? ", " : "", grant->conditions);
	cells[0] = format_cell(grant->is_deny ? "not " : "", grant->verbs, "");
	cells[1] = format_cell("", secrets, "");
	cells[2] = format_cell("if ", condition, "");
	cells[3] = format_cell("rule ", grant->rule, "");
}

typedef char *row[COLUMNS_MAX];

/* The columns' widths; false without memory. */
static bool measure(const struct policy_grants *grants, cells_of *describe, row *rows, int *widths)
{
	for (size_t i = 0; i < grants->count; i++) {
		describe(&grants->list[i], rows[i]);
		for (int j = 0; j < COLUMNS_MAX; j++) {
			int size = rows[i][j] != NULL ? (int)strlen(rows[i][j]) : -1;

			if (size < 0)
				return false;
			if (size > widths[j] && size <= WIDTH_MAX)
				widths[j] = size;
		}
	}
	return true;
}

static void print_row(const row cells, const int *widths)
{
	for (int j = 0; j < COLUMNS_MAX; j++) {
		int pad = widths[j] - (int)strlen(cells[j]);

		output_text(cells[j]);
		if (j < COLUMNS_MAX - 1 && widths[j] > 0)
			(void)printf("%*s", pad > 0 ? pad + 2 : 2, "");
	}
	(void)putchar('\n');
}

static int print_table(
	const struct cli *cli, const struct policy_grants *grants, cells_of *describe)
{
	row *rows = calloc(grants->count + 1, sizeof *rows);
	int widths[COLUMNS_MAX] = {0};
	bool is_whole = rows != NULL && measure(grants, describe, rows, widths);

	for (size_t i = 0; rows != NULL && i < grants->count; i++) {
		if (is_whole)
			print_row(rows[i], widths);
		for (int j = 0; j < COLUMNS_MAX; j++)
			free(rows[i][j]);
	}
	free(rows);
	return is_whole ? CLI_DONE : output_fail(cli, MORTISE_IO, "out of memory");
}

struct asking {
	const char *verb;
	struct ask_path path;
	struct policy_caller caller;
};

static void begin_who(
	struct wire_writer *writer, const struct asking *asking, const struct policy_grants *grants)
{
	if (asking->path.text[0] != '\0')
		wire_put_text(writer, WIRE_TAG_PATH, asking->path.text);
	if (grants->cursor_size > 0)
		wire_put(writer, WIRE_TAG_CURSOR, grants->cursor, grants->cursor_size);
	if (asking->verb != NULL)
		wire_put_text(writer, WIRE_TAG_VERB, asking->verb);
}

static void begin_may(
	struct wire_writer *writer, const struct asking *asking, const struct policy_grants *grants)
{
	policy_caller_put_label(writer, &asking->caller);
	if (grants->cursor_size > 0)
		wire_put(writer, WIRE_TAG_CURSOR, grants->cursor, grants->cursor_size);
	policy_caller_put_names(writer, &asking->caller);
	policy_caller_put_facts(writer, &asking->caller);
}

static int collect(struct cli *cli, enum wire_opcode opcode, const struct asking *asking,
	struct policy_grants *grants)
{
	do {
		struct wire_writer *writer = client_begin(cli->agent, opcode);
		struct wire_message reply;
		enum mortise_status status;

		if (opcode == WIRE_POLICY_WHO)
			begin_who(writer, asking, grants);
		else
			begin_may(writer, asking, grants);
		status = client_call(cli->agent, &reply);
		if (status != MORTISE_OK)
			return ask_fail(cli, status, NULL);
		if (!policy_grants_add(grants, &reply))
			return ask_fail_malformed(cli);
	} while (grants->cursor_size > 0);
	return CLI_DONE;
}

static int show_who(
	const struct cli *cli, const struct asking *asking, struct policy_grants *grants)
{
	const char *path = asking->path.text[0] != '\0' ? asking->path.text : NULL;

	policy_grants_find_members(grants);
	if (cli->is_json)
		return policy_grants_json(grants, "path", path);
	if (grants->count == 0)
		puts("nobody");
	return print_table(cli, grants, cells_of_who);
}

static int show_may(const struct cli *cli, const struct policy_grants *grants)
{
	if (cli->is_json)
		return policy_grants_json(grants, "user", grants->about);
	output_text(grants->about);
	puts(grants->count == 0 ? " may nothing" : " may");
	return print_table(cli, grants, cells_of_may);
}

static int who(struct cli *cli)
{
	struct asking asking = {.verb = args_value(cli, "verb")};
	struct policy_grants grants = {0};
	int ending = CLI_DONE;

	if (cli->operand_count == 1)
		ending = ask_expand(cli, cli->operands[0], &asking.path);
	if (ending == CLI_DONE)
		ending = collect(cli, WIRE_POLICY_WHO, &asking, &grants);
	if (ending == CLI_DONE)
		ending = show_who(cli, &asking, &grants);
	policy_grants_drop(&grants);
	return ending;
}

static int may(struct cli *cli)
{
	struct asking asking = {.verb = NULL};
	struct policy_grants grants = {0};
	int ending = policy_caller_read(cli, &asking.caller);

	if (ending == CLI_DONE)
		ending = collect(cli, WIRE_POLICY_MAY, &asking, &grants);
	if (ending == CLI_DONE)
		ending = show_may(cli, &grants);
	policy_grants_drop(&grants);
	return ending;
}

static const struct option who_options[] = {{"verb", 0, "VERB", "only that verb"}, {0}};
static const struct option may_options[] = {POLICY_CALLER_OPTIONS, {0}};

const struct command command_policy_who = {
	.name = "policy who",
	.operands = "[PATH]",
	.summary = "list everyone who may do what to a secret",
	.options = who_options,
	.most = 1,
	.verb = "admin",
	.notes =
		"As the rules say it: to whom, which verbs, under what conditions, by which rule, "
		"and\n"
		"the denies that may cut into that. Without PATH: who may audit and administer.\n"
		"Members of groups are those this host lists now. A listener may take fewer verbs.",
	.examples = "  mortise policy who prod/db/password\n"
		    "  mortise policy who --verb=read prod/db/password\n"
		    "  mortise policy who",
	.run = who,
};

const struct command command_policy_may = {
	.name = "policy may",
	.operands = "",
	.summary = "list everything that someone may do",
	.options = may_options,
	.verb = "admin",
	.notes = "Without --user it is about you. What is not said of unit, program, label and\n"
		 "listener is a condition in the answer.",
	.examples = "  mortise policy may --user=backup\n"
		    "  mortise policy may --user=backup --unit=backup.service",
	.run = may,
};
