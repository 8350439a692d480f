/* SPDX-License-Identifier: ISC */
/* rekey: has the agent make a new master key, and looks on until it is done. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "progress.h"

#define LOOK_MS    100
#define CURSOR_MAX 64

static const char heals[] =
	"From now on the old master key opens nothing that is set. Not healed: a value that was\n"
	"seen (change it where it is used), and a recovery key or token that was seen or stolen\n"
	"(it opens the new key as it did the old one).\n";

/* The next look: CURSOR is copied, since it lies in the frame that is sent anew. */
static enum mortise_status look(struct cli *cli, struct wire_message *reply)
{
	const struct wire_field *cursor = wire_field_of(reply, WIRE_TAG_CURSOR);
	uint8_t copy[CURSOR_MAX];
	size_t size = cursor->size;

	if (size == 0 || size > sizeof copy)
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	memcpy(copy, cursor->bytes, size);
	(void)poll(NULL, 0, LOOK_MS);
	struct wire_writer *writer = client_begin(cli->agent, WIRE_REKEY);
	wire_put(writer, WIRE_TAG_CURSOR, copy, size);
	return client_call(cli->agent, reply);
}

static enum mortise_status look_on(struct cli *cli, struct wire_message *reply)
{
	struct progress progress = progress_begin();
	enum mortise_status status = MORTISE_OK;

	while (status == MORTISE_OK && ask_flag(reply, WIRE_TAG_MORE)) {
		progress_show(&progress, "rekeyed %llu of %llu",
			(unsigned long long)ask_number(reply, WIRE_TAG_DONE, 0),
			(unsigned long long)ask_number(reply, WIRE_TAG_TOTAL, 0));
		status = look(cli, reply);
	}
	progress_clear(&progress);
	return status;
}

static int report(struct cli *cli, const struct wire_message *reply)
{
	uint64_t secrets = ask_number(reply, WIRE_TAG_TOTAL, 0);
	uint64_t epoch = ask_number(reply, WIRE_TAG_NUMBER, 0);

	if (cli->is_json)
		return output_json(json_pack("{s:b, s:b, s:o, s:o}", "changed", 1, "dry_run",
			cli->is_dry_run, "secrets", output_json_number(secrets), "key_epoch",
			output_json_number(epoch)));
	if (cli->is_dry_run) {
		printf("would rekey %llu secrets\n", (unsigned long long)secrets);
		return CLI_DONE;
	}
	printf("rekeyed: %llu secrets, key epoch %llu\n%s", (unsigned long long)secrets,
		(unsigned long long)epoch, heals);
	return CLI_DONE;
}

static int rekey(struct cli *cli)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_REKEY);
	struct wire_message reply;

	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (args_has(cli, "reencrypt"))
		wire_put_number(writer, WIRE_TAG_REENCRYPT, 1);
	enum mortise_status status = client_call(cli->agent, &reply);
	if (status == MORTISE_OK && !cli->is_dry_run)
		status = look_on(cli, &reply);
	return status == MORTISE_OK ? report(cli, &reply) : ask_fail(cli, status, NULL);
}

static const struct option options[] = {
	{"reencrypt", 0, NULL, "renew the values' own keys, too: takes as long as reading all"},
	{0},
};

const struct command command_rekey = {
	.name = "rekey",
	.operands = "",
	.summary = "replace the master key, while the agent serves",
	.options = options,
	.changes_something = true,
	.verb = "admin",
	.exits = {CLI_INTEGRITY, CLI_CONFLICT},
	.notes = "Use it after somebody may have had the master key: a core of the agent, its "
		 "memory,\n"
		 "a host that was broken into. No token, PIN or recovery key is asked for: every "
		 "slot\n"
		 "opens the new key. It goes on in the agent if this command ends; a seal drops "
		 "it, and\n"
		 "the old key stays. See: mortise status.\n"
		 "\n"
		 "It heals: with the old master key nothing is opened that is set from now on, and "
		 "no\n"
		 "list of names. With --reencrypt neither a value of before, should its own key "
		 "have\n"
		 "been taken along, from a copy of the disk that is made from now on.\n"
		 "It does not heal: a value that was seen, or that is in a copy of the old store: "
		 "change\n"
		 "it where it is used. A recovery key or token that was seen or stolen: it opens "
		 "the new\n"
		 "key as it did the old one. A disk that keeps old blocks: erase those by its own "
		 "means.",
	.examples = "  mortise rekey\n"
		    "  mortise rekey --reencrypt",
	.run = rekey,
};
