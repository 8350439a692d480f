/* SPDX-License-Identifier: ISC */
/* lifecycle: status, whoami, unseal and seal. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "input.h"
#include "output.h"
#include "recovery_key.h"

#define STATUS_PAUSE_MS    250
#define UNSEAL_DEADLINE_MS 120000 /* several slots, each as slow as its hardware may be */

static const char unsealed[] = "unsealed";

/* The text of the fact "state" among facts; "" if it is missing. */
static void find_state(struct wire_list facts, char state[32])
{
	struct wire_message item;
	char name[64];

	state[0] = '\0';
	while (ask_next(&facts, &item))
		if (wire_text(&item, WIRE_TAG_NAME, name, sizeof name) == MORTISE_OK &&
			strcmp(name, "state") == 0 &&
			wire_text(&item, WIRE_TAG_TEXT, state, 32) == MORTISE_OK)
			return;
}

/* With --wait the question is repeated until the agent is unsealed or the time is over. */
static enum mortise_status request_status(
	struct cli *cli, struct wire_message *out_reply, char state[32])
{
	int64_t until_ms = client_now_ms() + cli->wait_ms;

	for (;;) {
		(void)client_begin(cli->agent, WIRE_STATUS);
		TRY(client_call(cli->agent, out_reply));
		find_state(wire_list_of(out_reply, WIRE_TAG_ITEMS), state);
		if (strcmp(state, unsealed) == 0 || client_now_ms() + STATUS_PAUSE_MS >= until_ms)
			return MORTISE_OK;
		(void)poll(NULL, 0, STATUS_PAUSE_MS);
	}
}

static int print_facts(const struct cli *cli, const struct wire_message *reply)
{
	struct wire_list facts = wire_list_of(reply, WIRE_TAG_ITEMS);
	json_t *object;

	if (!cli->is_json)
		return ask_print_facts(facts) ? CLI_DONE : ask_fail_malformed(cli);
	object = json_object();
	if (object != NULL && ask_put_facts(facts, object))
		return output_json(object);
	json_decref(object);
	return ask_fail_malformed(cli);
}

static int status(struct cli *cli)
{
	struct wire_message reply;
	char state[32];
	enum mortise_status result = request_status(cli, &reply, state);
	int ending;

	if (result != MORTISE_OK)
		return ask_fail(cli, result, NULL);
	ending = print_facts(cli, &reply);
	if (ending != CLI_DONE)
		return ending;
	return strcmp(state, unsealed) == 0 ? CLI_DONE : CLI_TRY_AGAIN;
}

static int whoami(struct cli *cli)
{
	enum mortise_status result;
	struct wire_message reply;

	(void)client_begin(cli->agent, WIRE_WHOAMI);
	result = client_call(cli->agent, &reply);
	return result == MORTISE_OK ? print_facts(cli, &reply) : ask_fail(cli, result, NULL);
}

static int put_recovery(struct cli *cli, struct wire_writer *writer)
{
	CLEANUP(input_free) struct input *input = input_new();
	const char *key;
	size_t size;
	int ending;

	if (args_has(cli, "recovery") && args_has(cli, "recovery-file"))
		return output_fail(cli, MORTISE_INVALID, "either --recovery or --recovery-file");
	ending = recovery_key_obtain(cli, input, &key, &size);
	if (ending == CLI_DONE)
		wire_put(writer, WIRE_TAG_RECOVERY, key, size);
	return ending;
}

static int report(const struct cli *cli, bool is_changed, const char *done, const char *was)
{
	if (cli->is_json)
		return output_json(
			json_pack("{s:b, s:b}", "changed", is_changed, "dry_run", cli->is_dry_run));
	puts(!is_changed ? was : done);
	return CLI_DONE;
}

/* The agent knows no dry run of unseal: whether one may is not tried. */
static int report_dry_unseal(struct cli *cli)
{
	char state[32];
	enum mortise_status result = ask_fact(cli, "state", state, sizeof state);

	if (result != MORTISE_OK)
		return ask_fail(cli, result, NULL);
	return report(cli, strcmp(state, unsealed) != 0, "would unseal", "was unsealed already");
}

static int unseal(struct cli *cli)
{
	struct wire_message reply;
	enum mortise_status result;
	struct wire_writer *writer;
	bool has_key = args_has(cli, "recovery") || args_has(cli, "recovery-file");
	int ending = CLI_DONE;

	if (cli->is_dry_run)
		return report_dry_unseal(cli);
	writer = client_begin(cli->agent, WIRE_UNSEAL);
	if (has_key)
		ending = put_recovery(cli, writer);
	if (ending != CLI_DONE)
		return ending;
	mortise_set_deadline(cli->agent, UNSEAL_DEADLINE_MS, cli->wait_ms);
	result = client_call(cli->agent, &reply);
	/* Who typed a wrong key is told so, not whom to ask for a rule. */
	if (result == MORTISE_DENIED && has_key)
		return output_fail(cli, result, "unseal: %s", mortise_message(cli->agent));
	if (result != MORTISE_OK)
		return ask_fail(cli, result, NULL);
	return report(cli, ask_flag(&reply, WIRE_TAG_CHANGED), "unsealed", "was unsealed already");
}

static int seal(struct cli *cli)
{
	struct wire_message reply;
	enum mortise_status result;
	struct wire_writer *writer;

	if (!cli->is_dry_run &&
		!input_confirm(cli, "No job gets a secret until it is unsealed again. Seal?"))
		return output_fail(cli, MORTISE_INVALID, "not sealed");
	writer = client_begin(cli->agent, WIRE_SEAL);
	if (args_has(cli, "until-boot"))
		wire_put_number(writer, WIRE_TAG_UNTIL_BOOT, 1);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	result = client_call(cli->agent, &reply);
	if (result != MORTISE_OK)
		return ask_fail(cli, result, NULL);
	return report(cli, ask_flag(&reply, WIRE_TAG_CHANGED),
		cli->is_dry_run ? "would seal" : "sealed", "was sealed already");
}

static const struct option unseal_options[] = {
	{"recovery", 0, NULL, "ask for the recovery key on the terminal"},
	{"recovery-file", 0, "F", "read the recovery key from F; - is standard input"},
	{0},
};

static const struct option seal_options[] = {
	{"until-boot", 0, NULL, "the next boot unseals by itself; else only unseal does"},
	{0},
};

const struct command command_status = {
	.name = "status",
	.operands = "",
	.summary = "print the agent's state and its reason",
	.verb = "admin",
	.notes = "Exit status 0 if the agent is unsealed, 75 if it is there but is not. With\n"
		 "--wait=S it waits so long for the agent to be unsealed.",
	.examples = "  mortise status\n"
		    "  mortise --wait=60 status && start-the-job",
	.run = status,
};

const struct command command_whoami = {
	.name = "whoami",
	.operands = "",
	.summary = "print how the agent sees you",
	.verb = "admin",
	.examples = "  mortise whoami",
	.run = whoami,
};

const struct command command_unseal = {
	.name = "unseal",
	.operands = "",
	.summary = "let the agent have its master key again",
	.options = unseal_options,
	.changes_something = true,
	.exits = {CLI_INTEGRITY, CLI_CONFLICT},
	.examples = "  mortise unseal\n"
		    "  mortise unseal --recovery",
	.run = unseal,
};

const struct command command_seal = {
	.name = "seal",
	.operands = "",
	.summary = "make the agent forget its keys",
	.options = seal_options,
	.changes_something = true,
	.verb = "admin",
	.exits = {CLI_CONFLICT},
	.examples = "  mortise seal --yes\n"
		    "  mortise seal --until-boot",
	.run = seal,
};
