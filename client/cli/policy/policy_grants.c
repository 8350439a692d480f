/* SPDX-License-Identifier: ISC */
#include "policy_grants.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "args.h"
#include "array.h"
#include "ask.h"
#include "output.h"

/* One that is given twice counts twice; blanks would make two of one. */
static int read_groups(const struct cli *cli, char *groups, size_t size)
{
	size_t used = 0;

	for (int i = 0; i < cli->given_count; i++) {
		const char *value = cli->given[i].value;

		if (strcmp(cli->given[i].option->name, "group") != 0)
			continue;
		if (value[0] == '\0' || strpbrk(value, " \t"))
			return output_fail(
				cli, MORTISE_INVALID, "--group=%s: not a group's name", value);
		if (used + strlen(value) + 2 > size)
			return output_fail(cli, MORTISE_INVALID,
				"the names of all groups have at most %zu bytes", size - 1);
		used += (size_t)snprintf(
			groups + used, size - used, "%s%s", used > 0 ? " " : "", value);
	}
	return CLI_DONE;
}

/* A service and its slices, as the kernel has them; "?" for what cannot be found out. */
static bool is_unit(const char *text)
{
	bool is_one = true;

	if (strcmp(text, "?") == 0)
		return true;
	for (text += strspn(text, " "); *text != '\0' && is_one; text += strspn(text, " ")) {
		size_t size = strcspn(text, " ");
		is_one = args_is_unit(text, size);
		text += size;
	}
	return is_one;
}

/* What no process could have would be denied, and read as if a rule had done it. */
static int check_facts(const struct cli *cli, const struct policy_caller *caller)
{
	const char *unit = args_value(caller->cli, "unit"), *exe = args_value(caller->cli, "exe");

	if (unit && !is_unit(unit))
		return output_fail(cli, MORTISE_INVALID,
			"--unit=%s: a unit's whole name is wanted, such as backup.service", unit);
	if (exe && exe[0] != '/' && strcmp(exe, "?") != 0)
		return output_fail(
			cli, MORTISE_INVALID, "--exe=%s: a program's absolute path is wanted", exe);
	return CLI_DONE;
}

int policy_caller_read(const struct cli *cli, struct policy_caller *out_caller)
{
	struct policy_caller caller = {.cli = cli};
	int ending = read_groups(cli, caller.groups, sizeof caller.groups);

	if (ending == CLI_DONE)
		ending = check_facts(cli, &caller);
	if (ending == CLI_DONE)
		*out_caller = caller;
	return ending;
}

#define FIELD(tag, name, letter, argument, help) {WIRE_TAG_##tag, name},

static const struct {
	unsigned tag;
	const char *option;
} fields[] = {POLICY_CALLER_FACTS(FIELD)};

/* NULL: it is not said. */
static const char *said_of(const struct policy_caller *caller, size_t field)
{
	if (fields[field].tag != WIRE_TAG_GROUP)
		return args_value(caller->cli, fields[field].option);
	return caller->groups[0] != '\0' ? caller->groups : NULL;
}

void policy_caller_put(struct wire_writer *writer, const struct policy_caller *caller,
	unsigned above, unsigned below)
{
	for (unsigned tag = above + 1; tag < below && tag < WIRE_TAG_LIMIT; tag++)
		for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
			const char *said = fields[i].tag == tag ? said_of(caller, i) : NULL;

			if (said)
				wire_put_text(writer, tag, said);
		}
}

/* Policy who and policy may: what the rules give, to whom, page by page as one table. */

static void begin_may(struct wire_writer *writer, const struct policy_caller *caller,
	const struct policy_grants *grants)
{
	policy_caller_put(writer, caller, 0, WIRE_TAG_CURSOR);
	if (grants->cursor_size > 0)
		wire_put(writer, WIRE_TAG_CURSOR, grants->cursor, grants->cursor_size);
	policy_caller_put(writer, caller, WIRE_TAG_CURSOR, UINT_MAX);
}

static enum mortise_status collect_may(
	struct cli *cli, const struct policy_caller *caller, struct policy_grants *grants)
{
	do {
		begin_may(client_begin(cli->agent, WIRE_POLICY_MAY), caller, grants);
		TRY(policy_grants_call(cli, grants));
	} while (grants->cursor_size > 0);
	return MORTISE_OK;
}

static int show_who(const struct cli *cli, const char *path, struct policy_grants *grants)
{
	policy_grants_find_members(grants);
	if (cli->is_json)
		return policy_grants_json(grants, "path", path);
	if (grants->count == 0)
		puts("nobody");
	return policy_grants_print(cli, grants, POLICY_GRANTS_WHO, "");
}

static int show_may(const struct cli *cli, const struct policy_grants *grants)
{
	if (cli->is_json)
		return policy_grants_json(grants, "user", grants->about);
	output_text(grants->about);
	puts(grants->count > 0 ? " may"
		: strstr(grants->about, "(uid 65534)")
			? " may nothing: that uid is never served, whatever the rules say"
			: " may nothing");
	return policy_grants_print(cli, grants, POLICY_GRANTS_MAY, "");
}

static int who(struct cli *cli)
{
	CLEANUP(policy_grants_drop) struct policy_grants grants = {0};
	struct ask_path path = {""};
	const char *about = NULL;

	if (cli->operand_count == 1) {
		int ending = ask_expand(cli, cli->operands[0], &path);

		if (ending != CLI_DONE)
			return ending;
		about = path.text;
	}
	enum mortise_status status =
		policy_grants_who(cli, about, args_value(cli, "verb"), &grants);
	return status == MORTISE_OK ? show_who(cli, about, &grants) : ask_fail(cli, status, NULL);
}

static int may(struct cli *cli)
{
	CLEANUP(policy_grants_drop) struct policy_grants grants = {0};
	struct policy_caller caller;
	enum mortise_status status;
	int ending = policy_caller_read(cli, &caller);

	if (ending != CLI_DONE)
		return ending;
	status = collect_may(cli, &caller, &grants);
	return status == MORTISE_OK ? show_may(cli, &grants) : ask_fail(cli, status, NULL);
}

static const struct option who_options[] = {{"verb", 0, "VERB", "only that verb"}, {0}};
static const struct option may_options[] = {POLICY_CALLER_OPTIONS};

const struct command command_policy_who = {
	.name = "policy who",
	.operands = "[PATH]",
	.summary = "list everyone who may do what to a secret",
	.options = who_options,
	.most = 1,
	.verb = "admin",
	.notes =
		"As the rules say it: to whom, which verbs, under what conditions, by which rule; "
		"the\n"
		"units that are handed it as a credential; and the denies that may cut into that.\n"
		"Without PATH: who may audit and administer.\n"
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
		 "listener is a condition in the answer. A credential of a system unit is handed "
		 "to\n"
		 "it whoever runs in it.",
	.examples = "  mortise policy may --user=backup\n"
		    "  mortise policy may --user=backup --unit=backup.service",
	.run = may,
};

void policy_grants_drop(struct policy_grants *grants)
{
	for (size_t i = 0; i < grants->count; i++) {
		struct policy_grant *grant = &grants->list[i];

		free(grant->who);
		free(grant->verbs);
		free(grant->secrets);
		free(grant->conditions);
		free(grant->rule);
		free(grant->members);
	}
	free(grants->list);
}

static char *copy_text(const struct wire_message *item, unsigned tag)
{
	char text[WIRE_TEXT_MAX] = "";

	if (wire_has(item, tag) && wire_text(item, tag, text, sizeof text) != MORTISE_OK)
		return NULL;
	return strdup(text);
}

/* The patterns by blanks. */
static char *join_secrets(const struct wire_message *item)
{
	struct wire_list list = wire_list_of(item, WIRE_TAG_PATHS);
	char *text = calloc(1, wire_field_of(item, WIRE_TAG_PATHS)->size + 1);
	struct wire_field pattern;
	size_t used = 0;

	while (text && wire_list_next(&list, &pattern)) {
		if (used > 0)
			text[used++] = ' ';
		memcpy(text + used, pattern.bytes, pattern.size);
		used += pattern.size;
	}
	return text;
}

static bool read_grant(const struct wire_message *item, struct policy_grant *grant)
{
	*grant = (struct policy_grant){
		.is_deny = ask_number(item, WIRE_TAG_STATUS, MORTISE_OK) != MORTISE_OK,
		.is_credential = ask_number(item, WIRE_TAG_NUMBER, 0) == 1,
		.who = copy_text(item, WIRE_TAG_NAME),
		.verbs = copy_text(item, WIRE_TAG_VERB),
		.secrets = join_secrets(item),
		.conditions = copy_text(item, WIRE_TAG_TEXT),
		.rule = copy_text(item, WIRE_TAG_RULE),
	};
	return grant->who && grant->verbs && grant->secrets && grant->conditions && grant->rule;
}

static bool grow(struct policy_grants *grants)
{
	struct policy_grant *list = array_room(grants->list, grants->count, sizeof *list);

	if (list)
		grants->list = list;
	return list != NULL;
}

/* False if it is malformed, or memory is short. */
static bool add_page(struct policy_grants *grants, const struct wire_message *reply)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	const struct wire_field *cursor = wire_field_of(reply, WIRE_TAG_CURSOR);
	struct wire_message item;

	while (ask_next(&items, &item)) {
		if (!grow(grants))
			return false;
		if (!read_grant(&item, &grants->list[grants->count++]))
			return false;
	}
	if (wire_has(reply, WIRE_TAG_TEXT) &&
		wire_text(reply, WIRE_TAG_TEXT, grants->about, sizeof grants->about) != MORTISE_OK)
		return false;
	grants->cursor_size = ask_flag(reply, WIRE_TAG_MORE) ? cursor->size : 0;
	if (!wire_list_is_whole(&items) || grants->cursor_size > sizeof grants->cursor ||
		(ask_flag(reply, WIRE_TAG_MORE) && cursor->size == 0))
		return false;
	if (grants->cursor_size > 0)
		memcpy(grants->cursor, cursor->bytes, cursor->size);
	return true;
}

enum mortise_status policy_grants_call(struct cli *cli, struct policy_grants *grants)
{
	struct wire_message reply;

	TRY(client_call(cli->agent, &reply));
	return add_page(grants, &reply) ? MORTISE_OK
					: client_fail(cli->agent, MORTISE_IO, "%s", ask_malformed);
}

enum mortise_status policy_grants_who(
	struct cli *cli, const char *path, const char *verb, struct policy_grants *grants)
{
	do {
		struct wire_writer *writer = client_begin(cli->agent, WIRE_POLICY_WHO);

		if (path)
			wire_put_text(writer, WIRE_TAG_PATH, path);
		if (grants->cursor_size > 0)
			wire_put(writer, WIRE_TAG_CURSOR, grants->cursor, grants->cursor_size);
		if (verb)
			wire_put_text(writer, WIRE_TAG_VERB, verb);
		TRY(policy_grants_call(cli, grants));
	} while (grants->cursor_size > 0);
	return MORTISE_OK;
}

/* Its entry's members, and those whose first group it is, as far as they can be listed. */
static char *find_members(const char *who)
{
	const struct group *entry = NULL;
	char *text = NULL;
	size_t size = 0;
	const char *gap = "";
	FILE *file;

	if (strncmp(who, "group ", 6) == 0)
		entry = accounts_group(who + 6);
	else if (strncmp(who, "gid ", 4) == 0)
		entry = accounts_group_of((gid_t)strtoul(who + 4, NULL, 10));
	if (!entry || !(file = open_memstream(&text, &size)))
		return NULL;
	for (char **member = entry->gr_mem; *member; member++, gap = " ")
		(void)fprintf(file, "%s%s", gap, *member);
	accounts_begin();
	for (const struct passwd *user; (user = accounts_next_user());)
		if (user->pw_gid == entry->gr_gid) {
			(void)fprintf(file, "%s%s", gap, user->pw_name);
			gap = " ";
		}
	accounts_end();
	if (fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}

/* Words by blanks as a JSON array. */
static json_t *split(const char *text)
{
	json_t *array = json_array();

	while (*text != '\0') {
		size_t size = strcspn(text, " ");

		(void)json_array_append_new(array, output_json_shown(text, size));
		text += size + (text[size] == ' ');
	}
	return array;
}

json_t *policy_grants_array(const struct policy_grants *grants)
{
	json_t *array = json_array();

	for (size_t i = 0; i < grants->count; i++) {
		const struct policy_grant *grant = &grants->list[i];
		json_t *object = json_pack("{s:o, s:b, s:o, s:o, s:o, s:s, s:o}", "who",
			output_json_said(grant->who), "denied", grant->is_deny, "verbs",
			split(grant->verbs), "secrets", split(grant->secrets), "conditions",
			output_json_said(grant->conditions), "section",
			grant->is_credential ? "credential" : "rule", "rule",
			output_json_said(grant->rule));

		if (object && grant->members)
			(void)json_object_set_new(object, "members", split(grant->members));
		(void)json_array_append_new(array, object);
	}
	return array;
}

int policy_grants_json(const struct policy_grants *grants, const char *key, const char *about)
{
	return output_json(json_pack("{s:o?, s:o}", key, about ? output_json_said(about) : NULL,
		"grants", policy_grants_array(grants)));
}

void policy_grants_find_members(struct policy_grants *grants)
{
	for (size_t i = 0; i < grants->count; i++)
		grants->list[i].members = find_members(grants->list[i].who);
}

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

	if (grant->members)
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
	static const char *const ids[] = {"uid ", "gid ", "group "};

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		if (strncmp(who, ids[i], strlen(ids[i])) == 0)
			return "";
	return strchr(who, ' ') ? who : "";
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
			int size = rows[i][j] ? (int)strlen(rows[i][j]) : -1;

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
	bool is_whole = rows && measure(grants, describers[table], rows, widths);

	for (size_t i = 0; rows && i < grants->count; i++) {
		if (is_whole)
			print_row(rows[i], widths, indent);
		for (int j = 0; j < COLUMNS_MAX; j++)
			free(rows[i][j]);
	}
	free(rows);
	return is_whole ? CLI_DONE : output_fail(cli, MORTISE_IO, "out of memory");
}
