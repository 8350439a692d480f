/* SPDX-License-Identifier: ISC */
/* policy who and policy may: what the rules give, to whom, page by page as one table. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "policy_caller.h"

#define COLUMNS_MAX 4
#define CURSOR_MAX  64
#define WIDTH_MAX   60 /* wider cells push the rest of their own line only */

struct grant {
	bool is_deny;
	char *who, *verbs, *secrets, *conditions, *rule;
	char *members; /* of a group, as this host knows it; NULL: not asked */
};

struct grants {
	struct grant *list;
	size_t count, capacity;
	char about[WIRE_TEXT_MAX];
	uint8_t cursor[CURSOR_MAX];
	size_t cursor_size;
};

static void drop(struct grants *grants)
{
	for (size_t i = 0; i < grants->count; i++) {
		struct grant *grant = &grants->list[i];

		free(grant->who);
		free(grant->verbs);
		free(grant->secrets);
		free(grant->conditions);
		free(grant->rule);
		free(grant->members);
	}
	free(grants->list);
}

static char *copy_text(const struct wire_message *item, enum wire_tag tag)
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
	char *text = calloc(1, item->field[WIRE_TAG_PATHS].size + 1);
	struct wire_field pattern;
	size_t used = 0;

	while (text != NULL && wire_list_next(&list, &pattern)) {
		if (used > 0)
			text[used++] = ' ';
		memcpy(text + used, pattern.bytes, pattern.size);
		used += pattern.size;
	}
	return text;
}

static bool read_grant(const struct wire_message *item, struct grant *grant)
{
	*grant = (struct grant){
		.is_deny = ask_number(item, WIRE_TAG_STATUS, MORTISE_OK) != MORTISE_OK,
		.who = copy_text(item, WIRE_TAG_NAME),
		.verbs = copy_text(item, WIRE_TAG_VERB),
		.secrets = join_secrets(item),
		.conditions = copy_text(item, WIRE_TAG_TEXT),
		.rule = copy_text(item, WIRE_TAG_RULE),
	};
	return grant->who && grant->verbs && grant->secrets && grant->conditions && grant->rule;
}

static bool grow(struct grants *grants)
{
	size_t capacity = grants->capacity == 0 ? 64 : grants->capacity * 2;
	struct grant *list;

	if (grants->count < grants->capacity)
		return true;
	list = reallocarray(grants->list, capacity, sizeof *list);
	if (list == NULL)
		return false;
	grants->list = list;
	grants->capacity = capacity;
	return true;
}

static bool add_page(struct grants *grants, const struct wire_message *reply)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	const struct wire_field *cursor = &reply->field[WIRE_TAG_CURSOR];
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

/* ---- who is in a group ---- */

/* Its entry's members, and those whose first group it is, as far as they can be listed. */
static char *find_members(const char *who)
{
	const struct group *entry = NULL;
	char *text = NULL;
	size_t size = 0;
	const char *gap = "";
	FILE *file;

	if (strncmp(who, "group ", 6) == 0)
		entry = getgrnam(who + 6);
	else if (strncmp(who, "gid ", 4) == 0)
		entry = getgrgid((gid_t)strtoul(who + 4, NULL, 10));
	if (entry == NULL || (file = open_memstream(&text, &size)) == NULL)
		return NULL;
	for (char **member = entry->gr_mem; *member != NULL; member++, gap = " ")
		(void)fprintf(file, "%s%s", gap, *member);
	setpwent();
	for (const struct passwd *user; (user = getpwent()) != NULL;)
		if (user->pw_gid == entry->gr_gid) {
			(void)fprintf(file, "%s%s", gap, user->pw_name);
			gap = " ";
		}
	endpwent();
	if (fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- output ---- */

typedef void cells_of(const struct grant *grant, char *cells[COLUMNS_MAX]);

static char *format_cell(const char *before, const char *text, const char *after)
{
	char *cell = NULL;

	return text[0] != '\0' && asprintf(&cell, "%s%s%s", before, text, after) >= 0 ? cell
										      : strdup("");
}

static void cells_of_who(const struct grant *grant, char *cells[COLUMNS_MAX])
{
	char members[512] = "";

	if (grant->members != NULL)
		(void)snprintf(members, sizeof members, " (%.500s)",
			grant->members[0] != '\0' ? grant->members : "nobody");
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

static void cells_of_may(const struct grant *grant, char *cells[COLUMNS_MAX])
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

static void print_table(const struct grants *grants, cells_of *describe)
{
	char *(*rows)[COLUMNS_MAX] = calloc(grants->count + 1, sizeof *rows);
	int widths[COLUMNS_MAX] = {0};

	for (size_t i = 0; rows != NULL && i < grants->count; i++) {
		describe(&grants->list[i], rows[i]);
		for (int j = 0; j < COLUMNS_MAX; j++) {
			int size = (int)strlen(rows[i][j] != NULL ? rows[i][j] : "");

			if (size > widths[j] && size <= WIDTH_MAX)
				widths[j] = size;
		}
	}
	for (size_t i = 0; rows != NULL && i < grants->count; i++) {
		for (int j = 0; j < COLUMNS_MAX; j++) {
			const char *cell = rows[i][j] != NULL ? rows[i][j] : "";
			int pad = widths[j] - (int)strlen(cell);

			output_text(cell);
			if (j < COLUMNS_MAX - 1 && widths[j] > 0)
				(void)printf("%*s", pad > 0 ? pad + 2 : 2, "");
			free(rows[i][j]);
		}
		(void)putchar('\n');
	}
	free(rows);
}

/* Words by blanks as a JSON array. */
static json_t *split(const char *text)
{
	json_t *array = json_array();

	while (*text != '\0') {
		size_t size = strcspn(text, " ");

		(void)json_array_append_new(array, output_json_text(text, size));
		text += size + (text[size] == ' ');
	}
	return array;
}

static int print_json(const struct grants *grants, const char *key, const char *about)
{
	json_t *array = json_array();

	for (size_t i = 0; i < grants->count; i++) {
		const struct grant *grant = &grants->list[i];
		json_t *object = json_pack("{s:s, s:b, s:o, s:o, s:s, s:s}", "who", grant->who,
			"denied", grant->is_deny, "verbs", split(grant->verbs), "secrets",
			split(grant->secrets), "conditions", grant->conditions, "rule",
			grant->rule);

		if (object != NULL && grant->members != NULL)
			(void)json_object_set_new(object, "members", split(grant->members));
		(void)json_array_append_new(array, object);
	}
	return output_json(json_pack("{s:s?, s:o}", key, about, "grants", array));
}

/* ---- the two commands ---- */

struct asking {
	const char *verb;
	struct ask_path path;
	struct policy_caller caller;
};

static void begin_who(
	struct wire_writer *writer, const struct asking *asking, const struct grants *grants)
{
	if (asking->path.text[0] != '\0')
		wire_put_text(writer, WIRE_TAG_PATH, asking->path.text);
	if (grants->cursor_size > 0)
		wire_put(writer, WIRE_TAG_CURSOR, grants->cursor, grants->cursor_size);
	if (asking->verb != NULL)
		wire_put_text(writer, WIRE_TAG_VERB, asking->verb);
}

static void begin_may(
	struct wire_writer *writer, const struct asking *asking, const struct grants *grants)
{
	policy_caller_put_label(writer, &asking->caller);
	if (grants->cursor_size > 0)
		wire_put(writer, WIRE_TAG_CURSOR, grants->cursor, grants->cursor_size);
	policy_caller_put_names(writer, &asking->caller);
	policy_caller_put_facts(writer, &asking->caller);
}

static int collect(struct cli *cli, enum wire_opcode opcode, const struct asking *asking,
	struct grants *grants)
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
		if (!add_page(grants, &reply))
			return ask_fail_malformed(cli);
	} while (grants->cursor_size > 0);
	return CLI_DONE;
}

static int show_who(const struct cli *cli, const struct asking *asking, struct grants *grants)
{
	const char *path = asking->path.text[0] != '\0' ? asking->path.text : NULL;

	for (size_t i = 0; i < grants->count; i++)
		grants->list[i].members = find_members(grants->list[i].who);
	if (cli->is_json)
		return print_json(grants, "path", path);
	if (grants->count == 0)
		puts("nobody");
	print_table(grants, cells_of_who);
	return CLI_DONE;
}

static int show_may(const struct cli *cli, const struct grants *grants)
{
	if (cli->is_json)
		return print_json(grants, "user", grants->about);
	output_text(grants->about);
	puts(grants->count == 0 ? " may nothing" : " may");
	print_table(grants, cells_of_may);
	return CLI_DONE;
}

static int who(struct cli *cli)
{
	struct asking asking = {.verb = args_value(cli, "verb")};
	struct grants grants = {0};
	int ending = CLI_DONE;

	if (cli->operand_count == 1)
		ending = ask_expand(cli, cli->operands[0], &asking.path);
	if (ending == CLI_DONE)
		ending = collect(cli, WIRE_POLICY_WHO, &asking, &grants);
	if (ending == CLI_DONE)
		ending = show_who(cli, &asking, &grants);
	drop(&grants);
	return ending;
}

static int may(struct cli *cli)
{
	struct asking asking = {.verb = NULL};
	struct grants grants = {0};
	int ending = policy_caller_read(cli, &asking.caller);

	if (ending == CLI_DONE)
		ending = collect(cli, WIRE_POLICY_MAY, &asking, &grants);
	if (ending == CLI_DONE)
		ending = show_may(cli, &grants);
	drop(&grants);
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
