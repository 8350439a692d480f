/* SPDX-License-Identifier: ISC */
/* What rules give, as a table. */
#include "policy_grants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

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
	cells[3] = format_cell(grant->is_credential ? "credential " : "rule ", grant->rule, "");
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
	cells[3] = format_cell(grant->is_credential ? "credential " : "rule ", grant->rule, "");
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

static void print_row(const row cells, const int *widths, const char *indent)
{
	(void)fputs(indent, stdout);
	for (int j = 0; j < COLUMNS_MAX; j++) {
		int pad = widths[j] - (int)strlen(cells[j]);

		output_text(cells[j]);
		if (j < COLUMNS_MAX - 1 && widths[j] > 0)
			(void)printf("%*s", pad > 0 ? pad + 2 : 2, "");
	}
	(void)putchar('\n');
}

static cells_of *const describers[] = {
	[POLICY_GRANTS_WHO] = cells_of_who,
	[POLICY_GRANTS_MAY] = cells_of_may,
};

int policy_grants_print(const struct cli *cli, const struct policy_grants *grants,
	enum policy_grants_table table, const char *indent)
{
	row *rows = calloc(grants->count + 1, sizeof *rows);
	int widths[COLUMNS_MAX] = {0};
	bool is_whole = rows != NULL && measure(grants, describers[table], rows, widths);

	for (size_t i = 0; rows != NULL && i < grants->count; i++) {
		if (is_whole)
			print_row(rows[i], widths, indent);
		for (int j = 0; j < COLUMNS_MAX; j++)
			free(rows[i][j]);
	}
	free(rows);
	return is_whole ? CLI_DONE : output_fail(cli, MORTISE_IO, "out of memory");
}
