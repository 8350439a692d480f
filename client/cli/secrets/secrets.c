/* SPDX-License-Identifier: ISC */
/* secrets: show, delete and undelete: one secret, and never its value. */
#include <stdio.h>

#include "args.h"
#include "ask.h"
#include "input.h"
#include "meta.h"
#include "output.h"
#include "policy_grants.h"
#include "readings.h"
#include "when.h"

/* Its label and its note, if it has any. */
static void put_words(const struct wire_message *item, json_t *object)
{
	const struct wire_field *label = wire_field_of(item, WIRE_TAG_LABEL);
	const struct wire_field *note = wire_field_of(item, WIRE_TAG_NOTE);

	if (label->size > 0)
		(void)json_object_set_new(
			object, "label", output_json_shown(label->bytes, label->size));
	if (note->size > 0)
		(void)json_object_set_new(
			object, "note", output_json_shown(note->bytes, note->size));
}

/* Whom it may be read by, and by whom it was. */
struct readers {
	struct policy_grants may;
	struct readings did;
};

static void drop_readers(struct readers *readers)
{
	policy_grants_drop(&readers->may);
	readings_drop(&readers->did);
}

static json_t *describe_version(const struct wire_message *item, const struct readers *readers)
{
	uint64_t last_us =
		readers ? readings_of(&readers->did, ask_number(item, WIRE_TAG_VERSION, 0)) : 0;
	char created[WHEN_TEXT_SIZE];
	json_t *object;

	when_format_utc(ask_number(item, WIRE_TAG_TIME, 0), created);
	object = json_pack("{s:o, s:s, s:o}", "version",
		output_json_number(ask_number(item, WIRE_TAG_VERSION, 0)), "created", created,
		"uid", output_json_number(ask_number(item, WIRE_TAG_NUMBER, 0)));
	if (object)
		put_words(item, object);
	when_format_utc(last_us, created);
	if (object && last_us)
		(void)json_object_set_new(object, "last_read", json_string(created));
	return object;
}

/* The size of the current value: the frame's, or that of its version. */
static uint64_t size_of(const struct wire_message *reply, struct wire_list versions)
{
	uint64_t current = ask_number(reply, WIRE_TAG_VERSION, 0);
	struct wire_message item;

	while (!wire_has(reply, WIRE_TAG_NUMBER) && ask_next(&versions, &item))
		if (ask_number(&item, WIRE_TAG_VERSION, 0) == current)
			return ask_number(&item, WIRE_TAG_TOTAL, 0);
	return ask_number(reply, WIRE_TAG_NUMBER, 0);
}

static json_t *describe(const char *path, const struct wire_message *reply,
	struct wire_list versions, const struct readers *readers)
{
	char created[WHEN_TEXT_SIZE];
	struct wire_message item;
	json_t *list = json_array(), *object;
	uint64_t size = size_of(reply, versions);

	while (ask_next(&versions, &item))
		if (json_array_append_new(list, describe_version(&item, readers)) != 0)
			break;
	when_format_utc(ask_number(reply, WIRE_TAG_TIME, 0), created);
	object = json_pack("{s:s, s:o, s:o, s:s, s:b, s:o}", "path", path, "version",
		output_json_number(ask_number(reply, WIRE_TAG_VERSION, 0)), "size",
		output_json_number(size), "created", created, "deleted",
		ask_flag(reply, WIRE_TAG_DELETED), "versions", list);
	metadata_put(reply, object);
	return object;
}

static void print_word(const char *word)
{
	if (word[0] != '\0')
		printf("  ");
	output_text(word);
}

/* An old version that nobody reads may go. */
static void print_last_read(const struct readings *readings, uint64_t version)
{
	uint64_t last_us = readings_of(readings, version);
	char when[WHEN_TEXT_SIZE];

	when_format_local(last_us, when);
	if (readings->is_known)
		printf("  %s%s", last_us ? "last read " : "never read", last_us ? when : "");
}

static void print_version(const struct wire_message *item, const struct readers *readers)
{
	char created[WHEN_TEXT_SIZE], label[16] = "", note[WIRE_TEXT_MAX] = "";

	if (wire_text(item, WIRE_TAG_LABEL, label, sizeof label) != MORTISE_OK)
		label[0] = '\0';
	if (wire_text(item, WIRE_TAG_NOTE, note, sizeof note) != MORTISE_OK)
		note[0] = '\0';
	when_format_local(ask_number(item, WIRE_TAG_TIME, 0), created);
	printf("  version %-6llu %s  uid %llu",
		(unsigned long long)ask_number(item, WIRE_TAG_VERSION, 0), created,
		(unsigned long long)ask_number(item, WIRE_TAG_NUMBER, 0));
	print_word(label);
	print_word(note);
	if (readers)
		print_last_read(&readers->did, ask_number(item, WIRE_TAG_VERSION, 0));
	(void)putchar('\n');
}

static int print_readers(const struct cli *cli, const struct readers *readers)
{
	puts(readers->may.count > 0 ? "may be read by" : "may be read by nobody");
	int ending = policy_grants_print(cli, &readers->may, POLICY_GRANTS_WHO, "  ");
	readings_print(&readers->did);
	return ending;
}

/* The reply to SHOW, and the readers, or NULL. */
static int print_secret(const struct cli *cli, const char *path, const struct wire_message *reply,
	const struct readers *readers)
{
	struct wire_list versions = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;
	char created[WHEN_TEXT_SIZE];

	if (cli->is_json) {
		json_t *object = describe(path, reply, versions, readers);

		if (readers) {
			(void)json_object_set_new(
				object, "readers", policy_grants_array(&readers->may));
			readings_put(&readers->did, object);
		}
		return output_json(object);
	}
	when_format_local(ask_number(reply, WIRE_TAG_TIME, 0), created);
	printf("%s: version %llu, %llu bytes, created %s%s\n", path,
		(unsigned long long)ask_number(reply, WIRE_TAG_VERSION, 0),
		(unsigned long long)size_of(reply, versions), created,
		ask_flag(reply, WIRE_TAG_DELETED) ? ", deleted" : "");
	metadata_print(reply);
	while (ask_next(&versions, &item))
		print_version(&item, readers);
	if (!wire_list_is_whole(&versions))
		return ask_fail_malformed(cli);
	return readers ? print_readers(cli, readers) : CLI_DONE;
}

/* Who may read it is policy, which is for administrators. */
static int ask_readers(struct cli *cli, const char *path, struct readers *readers)
{
	enum mortise_status status = policy_grants_who(cli, path, "read", &readers->may);

	if (status == MORTISE_DENIED)
		return output_fail(cli, status,
			"%s: --readers needs the verb admin, and you are %s; without it: mortise "
			"show %s",
			path, caller_find().text, path);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, path);
	policy_grants_find_members(&readers->may);
	status = readings_collect(cli, path, &readers->did);
	return status == MORTISE_OK ? CLI_DONE : ask_fail(cli, status, NULL);
}

/* The readers are asked for first: they are copied, and a reply is gone with the next call. */
static int show(struct cli *cli)
{
	CLEANUP(drop_readers) struct readers readers = {.may = {0}};
	bool has_readers = args_has(cli, "readers");
	struct wire_message reply;
	enum mortise_status status;
	struct ask_path path;
	int ending = ask_expand(cli, cli->operands[0], &path);

	if (ending == CLI_DONE && has_readers)
		ending = ask_readers(cli, path.text, &readers);
	if (ending != CLI_DONE)
		return ending;
	wire_put_text(client_begin(cli->agent, WIRE_SHOW), WIRE_TAG_PATH, path.text);
	status = client_call(cli->agent, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, path.text);
	return print_secret(cli, path.text, &reply, has_readers ? &readers : NULL);
}

static int change(struct cli *cli, enum wire_opcode opcode, const char *done, const char *would)
{
	struct wire_writer *writer;
	struct wire_message reply;
	enum mortise_status status;
	struct ask_path path;
	bool is_changed;
	int ending = ask_expand(cli, cli->operands[0], &path);

	if (ending != CLI_DONE)
		return ending;
	writer = client_begin(cli->agent, opcode);
	wire_put_text(writer, WIRE_TAG_PATH, path.text);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	status = client_call(cli->agent, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, path.text);
	is_changed = ask_flag(&reply, WIRE_TAG_CHANGED);
	if (cli->is_json)
		return output_json(json_pack("{s:s, s:o, s:b, s:b}", "path", path.text, "version",
			output_json_number(ask_number(&reply, WIRE_TAG_VERSION, 0)), "changed",
			is_changed, "dry_run", cli->is_dry_run));
	printf("%s: %s\n", path.text,
		!is_changed       ? "nothing to do"
		: cli->is_dry_run ? would
				  : done);
	return CLI_DONE;
}

static int delete (struct cli *cli)
{
	char question[MORTISE_PATH_MAX + 64];

	(void)snprintf(question, sizeof question, "Hide %.*s from everyone?", MORTISE_PATH_MAX,
		cli->operands[0]);
	if (!cli->is_dry_run && !input_confirm(cli, question))
		return output_fail(cli, MORTISE_INVALID, "not deleted");
	return change(
		cli, WIRE_DELETE, "deleted; mortise undelete brings it back", "would be deleted");
}

static int undelete(struct cli *cli)
{
	return change(cli, WIRE_UNDELETE, "is back", "would be brought back");
}

static const struct option show_options[] = {
	{"readers", 0, NULL, "also who may read it, and who has; needs the verbs admin and audit"},
	{0}};

const struct command command_show = {
	.name = "show",
	.operands = "PATH",
	.summary = "show a secret's versions and what is said of it, without values",
	.options = show_options,
	.least = 1,
	.most = 1,
	.verb = "list",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND},
	.notes =
		"--readers lists whom a rule lets read it and under what conditions, the units "
		"that\n"
		"are handed it as a credential, and the denies that may cut into that; as mortise\n"
		"policy who, which lists the other verbs too. It also tells who has read it, when\n"
		"last, and of each version when it was read: an old one that nobody reads may go.",
	.examples = "  mortise show prod/db/password\n"
		    "  mortise show --readers prod/db/password",
	.run = show,
};

const struct command command_delete = {
	.name = "delete",
	.operands = "PATH",
	.summary = "hide a secret from everyone; it can be brought back",
	.least = 1,
	.most = 1,
	.changes_something = true,
	.verb = "delete",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND},
	.examples = "  mortise delete prod/db/password",
	.run = delete,
};

const struct command command_undelete = {
	.name = "undelete",
	.operands = "PATH",
	.summary = "bring back a secret that was deleted",
	.least = 1,
	.most = 1,
	.changes_something = true,
	.verb = "delete",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND, CLI_CONFLICT},
	.examples = "  mortise undelete prod/db/password",
	.run = undelete,
};

static int move(struct cli *cli)
{
	struct wire_writer *writer;
	struct wire_message reply;
	enum mortise_status status;
	struct ask_path from, to;
	int ending = ask_expand(cli, cli->operands[0], &from);

	if (ending == CLI_DONE)
		ending = ask_expand(cli, cli->operands[1], &to);
	if (ending != CLI_DONE)
		return ending;
	writer = client_begin(cli->agent, WIRE_MOVE);
	wire_put_text(writer, WIRE_TAG_PATH, from.text);
	status = client_put_token(cli->agent);
	wire_put_text(writer, WIRE_TAG_NAME, to.text);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (status == MORTISE_OK)
		status = client_call(cli->agent, &reply);
	if (status == MORTISE_DENIED)
		return output_fail(cli, status,
			"%s: denied, or no such secret for you; a move needs read, write and "
			"delete "
			"there, and write on %s",
			from.text, to.text);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, from.text);
	if (cli->is_json)
		return output_json(json_pack("{s:s, s:s, s:o, s:b, s:b}", "from", from.text, "path",
			to.text, "version",
			output_json_number(ask_number(&reply, WIRE_TAG_VERSION, 0)), "changed", 1,
			"dry_run", cli->is_dry_run));
	printf("%s: %s now %s\n", from.text, cli->is_dry_run ? "would be" : "is", to.text);
	return CLI_DONE;
}

static int report(const struct cli *cli, const char *path, const struct wire_message *reply,
	const char *done, const char *would)
{
	bool is_changed = ask_flag(reply, WIRE_TAG_CHANGED);
	uint64_t version = ask_number(reply, WIRE_TAG_VERSION, 0);

	if (cli->is_json)
		return output_json(json_pack("{s:s, s:o, s:b, s:b}", "path", path, "version",
			output_json_number(version), "changed", is_changed, "dry_run",
			cli->is_dry_run));
	printf("%s: version %llu%s\n", path, (unsigned long long)version,
		!is_changed       ? ", nothing to do"
		: cli->is_dry_run ? would
				  : done);
	return CLI_DONE;
}

static int rollback(struct cli *cli)
{
	struct wire_writer *writer;
	struct wire_message reply;
	enum mortise_status status;
	struct ask_path path;
	uint64_t to, expect;
	char done[64];
	int ending;

	if (!args_has(cli, "to"))
		return output_fail(cli, MORTISE_INVALID,
			"--to=N says to which version's value; see: mortise show %s",
			cli->operands[0]);
	if (args_number_of(cli, "to", 1, 0, &to) != CLI_DONE ||
		args_number_of(cli, "expect-version", 1, 0, &expect) != CLI_DONE)
		return CLI_USAGE;
	ending = ask_expand(cli, cli->operands[0], &path);
	if (ending != CLI_DONE)
		return ending;
	writer = client_begin(cli->agent, WIRE_ROLLBACK);
	wire_put_text(writer, WIRE_TAG_PATH, path.text);
	wire_put_number(writer, WIRE_TAG_VERSION, to);
	status = client_put_token(cli->agent);
	if (args_has(cli, "expect-version"))
		wire_put_number(writer, WIRE_TAG_EXPECT, expect);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (status == MORTISE_OK)
		status = client_call(cli->agent, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, path.text);
	(void)snprintf(
		done, sizeof done, ", with the value of version %llu", (unsigned long long)to);
	return report(cli, path.text, &reply, done, " would be made");
}

static bool confirms(const struct cli *cli, const char *path)
{
	char question[MORTISE_PATH_MAX + 128];

	if (args_has(cli, "all"))
		(void)snprintf(question, sizeof question,
			"Destroy all of %.*s, for good? Nothing brings it back.", MORTISE_PATH_MAX,
			path);
	else
		(void)snprintf(question, sizeof question,
			"Destroy version %.20s of %.*s, for good? Nothing brings it back.",
			args_value(cli, "version"), MORTISE_PATH_MAX, path);
	return cli->is_dry_run || input_confirm(cli, question);
}

static int destroy(struct cli *cli)
{
	bool is_all = args_has(cli, "all");
	struct wire_writer *writer;
	struct wire_message reply;
	enum mortise_status status;
	struct ask_path path;
	uint64_t version;
	int ending;

	if (is_all == args_has(cli, "version"))
		return output_fail(
			cli, MORTISE_INVALID, "either --version=N, or --all of a deleted secret");
	if (args_number_of(cli, "version", 1, 0, &version) != CLI_DONE)
		return CLI_USAGE;
	ending = ask_expand(cli, cli->operands[0], &path);
	if (ending != CLI_DONE)
		return ending;
	if (!confirms(cli, path.text))
		return output_fail(cli, MORTISE_INVALID, "not destroyed");
	writer = client_begin(cli->agent, WIRE_DESTROY);
	wire_put_text(writer, WIRE_TAG_PATH, path.text);
	if (!is_all)
		wire_put_number(writer, WIRE_TAG_VERSION, version);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (is_all)
		wire_put_number(writer, WIRE_TAG_FORCE, 1);
	status = client_call(cli->agent, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, path.text);
	return report(cli, path.text, &reply,
		is_all ? " and all others are destroyed" : " is destroyed", " would be destroyed");
}

static const struct option rollback_options[] = {
	{"to", 0, "N", "the version whose value it is to have again"},
	{"expect-version", 0, "N", "only if N is the current version"},
	{0},
};

static const struct option destroy_options[] = {
	{"version", 0, "N", "that version; not the current one, unless the secret is deleted"},
	{"all", 0, NULL, "a deleted secret with all its versions, its name and its place"},
	{0},
};

const struct command command_move = {
	.name = "move",
	.operands = "PATH NEW-PATH",
	.summary = "give a secret another path",
	.least = 2,
	.most = 2,
	.changes_something = true,
	.verb = "write",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND, CLI_CONFLICT},
	.notes =
		"It takes along its versions and all that is said of it. It needs the verbs read,\n"
		"write and delete on OLD and write on NEW, where nothing may be, not even deleted.",
	.examples = "  mortise move prod/db/password prod/shop/db-password",
	.run = move,
};

const struct command command_rollback = {
	.name = "rollback",
	.operands = "PATH",
	.summary = "make a new version with the value of an old one",
	.options = rollback_options,
	.least = 1,
	.most = 1,
	.changes_something = true,
	.verb = "write",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND, CLI_CONFLICT},
	.examples = "  mortise rollback --to=3 prod/db/password",
	.run = rollback,
};

const struct command command_destroy = {
	.name = "destroy",
	.operands = "PATH",
	.summary = "overwrite a version, or a deleted secret, for good",
	.options = destroy_options,
	.least = 1,
	.most = 1,
	.changes_something = true,
	.verb = "delete",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND, CLI_CONFLICT},
	.notes = "When it returns, the version's key and value are in no file of the store any\n"
		 "more. What a flash disk, a snapshot or a backup has kept of older files is out "
		 "of\n"
		 "mortise's reach; without the master key it is useless.",
	.examples = "  mortise destroy --version=3 prod/db/password\n"
		    "  mortise delete prod/old && mortise destroy --all prod/old",
	.run = destroy,
};
