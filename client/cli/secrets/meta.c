/* SPDX-License-Identifier: ISC */
/* meta: what people say about a secret; no version is made by it. */
#include "meta.h"

#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "shown.h"
#include "when.h"

#define MICROS UINT64_C(1000000)

/* When the current version was made; 0: there is none. */
static uint64_t current_time_us(const struct wire_message *reply)
{
	struct wire_list versions = wire_list_of(reply, WIRE_TAG_ITEMS);
	uint64_t current = ask_number(reply, WIRE_TAG_VERSION, 0);
	struct wire_message item;

	while (ask_next(&versions, &item))
		if (ask_number(&item, WIRE_TAG_VERSION, 0) == current)
			return ask_number(&item, WIRE_TAG_TIME, 0);
	return 0;
}

static uint64_t due_us(const struct wire_message *reply)
{
	uint64_t max_age_s = ask_number(reply, WIRE_TAG_MAX_AGE, 0);
	uint64_t made_us = current_time_us(reply);

	return max_age_s && made_us ? made_us + max_age_s * MICROS : 0;
}

static void print_text(const char *name, const struct wire_message *reply, unsigned tag)
{
	char text[WIRE_TEXT_MAX];

	if (wire_text(reply, tag, text, sizeof text) != MORTISE_OK || text[0] == '\0')
		return;
	printf("  %-8s ", name);
	output_text(text);
	(void)putchar('\n');
}

static void print_age(const struct wire_message *reply)
{
	uint64_t due = due_us(reply);
	char age[WHEN_TEXT_SIZE], when[WHEN_TEXT_SIZE];

	if (!wire_has(reply, WIRE_TAG_MAX_AGE))
		return;
	when_format_seconds(ask_number(reply, WIRE_TAG_MAX_AGE, 0), age);
	when_format_local(due, when);
	printf("  %-8s %s", "max-age", age);
	if (due)
		printf(", %s %s", due < when_now_us() ? "overdue since" : "due", when);
	(void)putchar('\n');
}

void metadata_print(const struct wire_message *reply)
{
	struct wire_list pairs = wire_list_of(reply, WIRE_TAG_META);
	struct wire_field pair;
	char text[WIRE_TEXT_MAX];

	print_text("note", reply, WIRE_TAG_NOTE);
	print_age(reply);
	print_text("hook", reply, WIRE_TAG_HOOK);
	if (wire_has(reply, WIRE_TAG_TOTAL))
		printf("  %-8s %llu versions\n", "keeps",
			(unsigned long long)ask_number(reply, WIRE_TAG_TOTAL, 0));
	while (wire_list_next(&pairs, &pair)) {
		(void)snprintf(text, sizeof text, "%.*s", (int)pair.size, (const char *)pair.bytes);
		printf("  ");
		output_text(text);
		(void)putchar('\n');
	}
}

static void show_pairs(const struct wire_message *reply, json_t *object)
{
	struct wire_list pairs = wire_list_of(reply, WIRE_TAG_META);
	json_t *all = json_object();
	struct wire_field pair;

	while (wire_list_next(&pairs, &pair)) {
		const uint8_t *equals = memchr(pair.bytes, '=', pair.size);
		char key[WIRE_TEXT_MAX];

		if (!equals)
			continue;
		(void)shown_text(pair.bytes, (size_t)(equals - pair.bytes), key, sizeof key);
		(void)json_object_set_new(all, key,
			output_json_shown(
				equals + 1, pair.size - (size_t)(equals - pair.bytes) - 1));
	}
	(void)json_object_set_new(object, "meta", all);
}

static void put_text(
	const struct wire_message *reply, unsigned tag, const char *name, json_t *object)
{
	const struct wire_field *field = wire_field_of(reply, tag);

	if (field->size > 0)
		(void)json_object_set_new(
			object, name, output_json_shown(field->bytes, field->size));
}

void metadata_put(const struct wire_message *reply, json_t *object)
{
	uint64_t due = due_us(reply);
	char when[WHEN_TEXT_SIZE];

	if (!object)
		return;
	put_text(reply, WIRE_TAG_NOTE, "note", object);
	put_text(reply, WIRE_TAG_HOOK, "hook", object);
	if (wire_has(reply, WIRE_TAG_MAX_AGE))
		(void)json_object_set_new(object, "max_age",
			output_json_number(ask_number(reply, WIRE_TAG_MAX_AGE, 0)));
	when_format_utc(due, when);
	if (due)
		(void)json_object_set_new(object, "due", json_string(when));
	if (wire_has(reply, WIRE_TAG_TOTAL))
		(void)json_object_set_new(
			object, "keep", output_json_number(ask_number(reply, WIRE_TAG_TOTAL, 0)));
	show_pairs(reply, object);
}

struct wishes {
	uint64_t keep, max_age_s;
};

static int read_wishes(const struct cli *cli, struct wishes *wishes)
{
	const char *age = args_value(cli, "max-age");

	if (age && strcmp(age, "never") != 0 &&
		(!when_parse_seconds(age, &wishes->max_age_s) || wishes->max_age_s == 0))
		return output_fail(cli, MORTISE_INVALID,
			"--max-age=%s: a number with its unit is wanted, such as 90d or 12h, or "
			"never",
			age);
	if (args_number_of(cli, "keep", 0, 0, &wishes->keep) != CLI_DONE)
		return CLI_USAGE;
	for (int i = 0; i < cli->given_count; i++) {
		const char *name = cli->given[i].option->name, *value = cli->given[i].value;
		bool has_equals = value && strchr(value, '=');

		if (strcmp(name, "set") == 0 && !has_equals)
			return output_fail(
				cli, MORTISE_INVALID, "--set=%s: KEY=VALUE is wanted", value);
		if (strcmp(name, "unset") == 0 && has_equals)
			return output_fail(
				cli, MORTISE_INVALID, "--unset=%s: the key alone is wanted", value);
	}
	return CLI_DONE;
}

static void put_changes(const struct cli *cli, struct wire_writer *writer)
{
	size_t mark = wire_list_begin(writer, WIRE_TAG_META);

	for (int i = 0; i < cli->given_count; i++) {
		const char *name = cli->given[i].option->name, *value = cli->given[i].value;

		if (strcmp(name, "set") == 0 || strcmp(name, "unset") == 0)
			wire_item_put(writer, value, strlen(value));
	}
	wire_list_end(writer, mark);
}

static enum mortise_status request(struct cli *cli, const char *path, const struct wishes *wishes,
	struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_META);

	wire_put_text(writer, WIRE_TAG_PATH, path);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (args_has(cli, "keep"))
		wire_put_number(writer, WIRE_TAG_TOTAL, wishes->keep);
	put_changes(cli, writer);
	if (args_has(cli, "note"))
		wire_put_text(writer, WIRE_TAG_NOTE, args_value(cli, "note"));
	if (args_has(cli, "max-age"))
		wire_put_number(writer, WIRE_TAG_MAX_AGE, wishes->max_age_s);
	if (args_has(cli, "hook"))
		wire_put_text(writer, WIRE_TAG_HOOK, args_value(cli, "hook"));
	return client_call(cli->agent, out_reply);
}

static int change(struct cli *cli, const char *path)
{
	struct wishes wishes = {0, 0};
	enum mortise_status status;
	struct wire_message reply;
	bool is_changed;

	if (read_wishes(cli, &wishes) != CLI_DONE)
		return CLI_USAGE;
	status = request(cli, path, &wishes, &reply);
	if (status == MORTISE_DENIED && args_has(cli, "hook"))
		return output_fail(cli, status,
			"%s: denied, or no such secret for you; a hook, which others will run, "
			"needs "
			"the verb admin beside write",
			path);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, path);
	is_changed = ask_flag(&reply, WIRE_TAG_CHANGED);
	if (cli->is_json)
		return output_json(json_pack("{s:s, s:b, s:b}", "path", path, "changed", is_changed,
			"dry_run", cli->is_dry_run));
	printf("%s: %s\n", path,
		!is_changed       ? "nothing to do"
		: cli->is_dry_run ? "would be changed"
				  : "changed");
	return CLI_DONE;
}

static int show(struct cli *cli, const char *path)
{
	struct wire_message reply;
	enum mortise_status status;
	json_t *object;

	wire_put_text(client_begin(cli->agent, WIRE_SHOW), WIRE_TAG_PATH, path);
	status = client_call(cli->agent, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, path);
	if (cli->is_json) {
		object = json_pack("{s:s}", "path", path);
		metadata_put(&reply, object);
		return output_json(object);
	}
	printf("%s:\n", path);
	metadata_print(&reply);
	return CLI_DONE;
}

static int meta(struct cli *cli)
{
	struct ask_path path;
	int ending = ask_expand(cli, cli->operands[0], &path);
	bool has_wish = false;

	if (ending != CLI_DONE)
		return ending;
	for (const struct option *option = cli->command->options; option->name; option++)
		has_wish = has_wish || args_has(cli, option->name);
	return has_wish ? change(cli, path.text) : show(cli, path.text);
}

static const struct option options[] = {
	{"note", 0, "TEXT", "what it is; empty: nothing any more"},
	{"max-age", 0, "T", "how long a version may be the current one, like 90d; or never"},
	{"keep", 0, "N", "how many versions are kept, at most 100; 0: as usual, 10"},
	{"hook", 0, "F", "what makes a new value for rotate: an absolute path, or empty"},
	{"set", 0, "KEY=VALUE", "something of your own, like owner=payments"},
	{"unset", 0, "KEY", "that no more"},
	{0},
};

const struct command command_meta = {
	.name = "meta",
	.operands = "PATH",
	.summary = "show or change what is said of a secret, without a new version",
	.options = options,
	.least = 1,
	.most = 1,
	.changes_something = true,
	.verb = "write",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND},
	.notes = "Without options it shows (verb list). Whoever rotates runs the hook: to set one\n"
		 "takes the verb admin, too. The versions that --keep makes too many go with the\n"
		 "next new one; the current, the previous and a pending one always stay.",
	.examples = "  mortise meta prod/db/password\n"
		    "  mortise meta --max-age=90d --set=owner=payments prod/db/password\n"
		    "  mortise list --due",
	.run = meta,
};
