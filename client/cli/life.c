/* SPDX-License-Identifier: ISC */
/* move, rollback and destroy. */
#include <stdio.h>

#include "args.h"
#include "ask.h"
#include "input.h"
#include "output.h"

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
