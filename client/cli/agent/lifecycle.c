/* SPDX-License-Identifier: ISC */
/* lifecycle: status, whoami, unseal and seal. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "cli.h"
#include "input.h"
#include "output.h"
#include "slot_kinds.h"
#include "typed.h"
#include "typed_key.h"

/*
 * A PIN on its way to the slot that wants it, and the question for it that systemd's password
 * agents (console, plymouth, systemd-tty-ask-password-agent) put to a person.
 */

#define UNSEAL_DEADLINE_MS 120000 /* several slots, each as slow as its hardware may be */

#define BUSY_WAIT_MS  60000 /* other hardware is being asked just now */
#define LOOK_PAUSE_MS 1000
#define PIN_MAX       64
#define TRIES         3
#define NO_PROGRAM    127

static const char program[] = "systemd-ask-password";

/* What is being asked, and what came of it. */
struct question {
	uint64_t slot;
	char complaint[WIRE_TEXT_MAX]; /* about the answer before; "": none */
	int tries;
	bool is_line; /* the answer could have been typed */
	pid_t pid;    /* of the program that asks; 0: none */
	int answer;
};

enum outcome { ANSWERED, TURNED_DOWN, NOT_WANTED, FAILED };

/* Unseals with a PIN for slot (0: any), or for slots of a kind (NULL: any). It is tried once. */
static enum mortise_status unseal_pin_send(struct cli *cli, const char *kind, uint64_t slot,
	const struct input *pin, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_UNSEAL);

	if (slot > 0)
		wire_put_number(writer, WIRE_TAG_NUMBER, slot);
	if (kind)
		wire_put_text(writer, WIRE_TAG_SLOT_KIND, kind);
	wire_put(writer, WIRE_TAG_PIN, pin->bytes, pin->size);
	mortise_set_deadline(cli->agent, UNSEAL_DEADLINE_MS, cli->wait_ms);
	return client_call(cli->agent, out_reply);
}

/* 0: none waits, or the agent does not say. */
static uint64_t waiting_slot(struct cli *cli)
{
	char text[24];
	uint64_t slot;

	if (ask_fact(cli, "pin_slot", text, sizeof text) != MORTISE_OK || !args_number(text, &slot))
		return 0;
	return slot;
}

/* Whatever becomes of us, the question goes: at SIGTERM the program takes it back. */
static _Noreturn void become_program(int answer, char *id, char *text)
{
	char *const arguments[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "--no-tty",
		(char *)(uintptr_t) "--timeout=0", id, text, NULL};

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (dup2(answer, STDOUT_FILENO) >= 0)
		(void)execvp(program, arguments);
	_exit(NO_PROGRAM);
}

static enum mortise_status begin(struct question *question)
{
	char id[48], text[WIRE_TEXT_MAX + 64];
	int answer[2];

	(void)snprintf(id, sizeof id, "--id=mortise:pin:%llu", (unsigned long long)question->slot);
	(void)snprintf(text, sizeof text, "%s%sPIN of mortise's slot %llu:", question->complaint,
		question->complaint[0] ? "; " : "", (unsigned long long)question->slot);
	if (pipe2(answer, O_CLOEXEC) != 0)
		return MORTISE_IO;
	question->pid = fork();
	if (question->pid == 0)
		become_program(answer[1], id, text);
	(void)close(answer[1]);
	question->answer = answer[0];
	return question->pid > 0 ? MORTISE_OK : MORTISE_IO;
}

/* Its exit status, or -1 after a signal. */
static int end(struct question *question)
{
	int status = -1;

	if (question->pid > 0)
		while (waitpid(question->pid, &status, 0) < 0 && errno == EINTR)
			continue;
	(void)close(question->answer);
	question->pid = 0;
	return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Reads until the end of the answer; false once nobody wants it any more. */
static bool await(struct cli *cli, struct question *question, struct input *pin)
{
	struct pollfd readable = {.fd = question->answer, .events = POLLIN};

	pin->size = 0;
	for (;;) {
		int ready = poll(&readable, 1, LOOK_PAUSE_MS);

		if (ready == 0 && waiting_slot(cli) != question->slot)
			return false;
		if (ready <= 0)
			continue;
		ssize_t got = read(
			question->answer, pin->bytes + pin->size, MORTISE_VALUE_MAX - pin->size);
		if (got <= 0)
			return true;
		pin->size += (size_t)got;
	}
}

static enum outcome ask(struct cli *cli, struct question *question, struct input *pin)
{
	if (begin(question) != MORTISE_OK)
		return FAILED;
	if (!await(cli, question, pin)) {
		(void)kill(question->pid, SIGTERM);
		(void)end(question);
		return NOT_WANTED;
	}
	int status = end(question);
	if (status == NO_PROGRAM)
		return FAILED;
	question->is_line = !typed_line(pin);
	return status == 0 && pin->size > 0 ? ANSWERED : TURNED_DOWN;
}

/* True if that opened it. */
static bool try_pin(struct cli *cli, struct question *question, const struct input *pin)
{
	struct wire_message reply;
	const char *text;

	if (pin->size > PIN_MAX || !question->is_line) {
		(void)snprintf(question->complaint, sizeof question->complaint,
			"a PIN is one line of 1 to %d bytes", PIN_MAX);
		return false;
	}
	enum mortise_status status = unseal_pin_send(cli, NULL, question->slot, pin, &reply);
	if (status == MORTISE_OK)
		return true;
	question->tries += status == MORTISE_HARDWARE;
	text = mortise_message(cli->agent);
	(void)snprintf(question->complaint, sizeof question->complaint, "%.*s",
		(int)sizeof question->complaint - 1, text);
	output_note("%s", text);
	return false;
}

static int wait_quietly(struct cli *cli, const char *why)
{
	output_note("%s; it is not asked for again; run: mortise unseal", why);
	while (waiting_slot(cli) != 0)
		(void)poll(NULL, 0, LOOK_PAUSE_MS);
	return CLI_DONE;
}

/*
 * Asks for as long as a slot waits for its PIN, by systemd-ask-password. A PIN that did not open it
 * is said in the next question. After three of them, or a question that somebody turned down, there
 * is none any more: it only waits. So no PIN is ever tried that was not typed. CLI_DONE when no
 * slot waits (any more); *out_changed: it is unsealed, and was by this.
 */
static int unseal_pin_by_agents(struct cli *cli, bool *out_changed)
{
	CLEANUP(input_free) struct input *pin = input_new();
	struct question question = {.complaint = ""};

	*out_changed = false;
	if (!pin)
		return output_fail(cli, MORTISE_IO, "out of memory");
	if (cli->wait_ms == 0)
		cli->wait_ms = BUSY_WAIT_MS;
	while ((question.slot = waiting_slot(cli)) != 0) {
		enum outcome outcome = ask(cli, &question, pin);

		if (outcome == FAILED)
			return output_fail(cli, MORTISE_IO,
				"%s cannot be run; on a terminal, run: mortise unseal", program);
		if (outcome == TURNED_DOWN)
			return wait_quietly(cli, "the question for the PIN was turned down");
		if (outcome == ANSWERED)
			*out_changed = try_pin(cli, &question, pin);
		if (question.tries == TRIES && !*out_changed)
			return wait_quietly(cli, "three PINs did not open it");
	}
	return CLI_DONE;
}

#define STATUS_PAUSE_MS 250

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
	if (object && ask_put_facts(facts, object))
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

static int report_unsealed(const struct cli *cli, const struct wire_message *reply)
{
	return report(cli, ask_flag(reply, WIRE_TAG_CHANGED), "unsealed", "was unsealed already");
}

static enum mortise_status call_unseal(struct cli *cli, struct wire_message *out_reply)
{
	mortise_set_deadline(cli->agent, UNSEAL_DEADLINE_MS, cli->wait_ms);
	return client_call(cli->agent, out_reply);
}

/* With a PIN: from a file for one kind of slot, or (NULL) typed for that slot. */
static int unseal_with_pin(struct cli *cli, const char *option, const char *kind, uint64_t slot)
{
	CLEANUP(input_free) struct input *pin = input_new();
	struct wire_message reply;
	char prompt[64];

	(void)snprintf(prompt, sizeof prompt, "PIN of slot %llu", (unsigned long long)slot);
	if (!pin)
		return output_fail(cli, MORTISE_IO, "out of memory");
	int ending = typed_pin(cli, option, option ? "PIN" : prompt, false, pin);
	if (ending != CLI_DONE)
		return ending;
	enum mortise_status status = unseal_pin_send(cli, kind, slot, pin, &reply);
	return status == MORTISE_OK ? report_unsealed(cli, &reply) : ask_fail(cli, status, NULL);
}

/* Without anything typed; where a slot waits for its PIN, that is asked for on a terminal. */
static int unseal_by_hardware(struct cli *cli)
{
	struct wire_message reply;
	char slot[24], why[WIRE_TEXT_MAX];
	uint64_t id = 0;

	(void)client_begin(cli->agent, WIRE_UNSEAL);
	enum mortise_status status = call_unseal(cli, &reply);
	if (status == MORTISE_OK)
		return report_unsealed(cli, &reply);
	if (status != MORTISE_HARDWARE)
		return ask_fail(cli, status, NULL);
	(void)snprintf(why, sizeof why, "%s", mortise_message(cli->agent));
	bool waits_for_pin = ask_fact(cli, "pin_slot", slot, sizeof slot) == MORTISE_OK &&
			     args_number(slot, &id);
	if (waits_for_pin && !isatty(STDIN_FILENO))
		return output_fail(cli, status,
			"slot %s waits for its PIN, and there is no terminal to ask on; use "
			"--tpm2-pin-file=F, or --pin-file=F for a token",
			slot);
	if (!waits_for_pin)
		return output_fail(cli, status, "%s", why);
	output_note("%s", why);
	return unseal_with_pin(cli, NULL, NULL, id);
}

static int unseal_by_agents(struct cli *cli)
{
	bool is_changed;
	int ending = unseal_pin_by_agents(cli, &is_changed);

	return ending == CLI_DONE ? report(cli, is_changed, "unsealed", "no slot waits for its PIN")
				  : ending;
}

static int unseal(struct cli *cli)
{
	struct wire_message reply;
	int ways = args_has(cli, "tpm2-pin-file") + args_has(cli, "pin-file") +
		   args_has(cli, "ask-agents") +
		   (args_has(cli, "recovery") || args_has(cli, "recovery-file"));
	int ending;

	if (ways > 1)
		return output_fail(
			cli, MORTISE_INVALID, "either a PIN or a recovery key, and by one way");
	if (cli->is_dry_run)
		return report_dry_unseal(cli);
	for (size_t i = 0; slot_kind_at(i); i++) {
		const struct slot_kind *kind = slot_kind_at(i);

		if (kind->pin_option && args_has(cli, kind->pin_option))
			return unseal_with_pin(cli, kind->pin_option, kind->name, 0);
	}
	if (args_has(cli, "ask-agents"))
		return unseal_by_agents(cli);
	if (ways == 0)
		return unseal_by_hardware(cli);
	mortise_set_deadline(cli->agent, UNSEAL_DEADLINE_MS, cli->wait_ms);
	const struct typed_call call = {.opcode = WIRE_UNSEAL};
	ending = typed_key_call(cli, &call, &reply);
	return ending == CLI_DONE ? report_unsealed(cli, &reply) : ending;
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
	{"recovery", 0, NULL, "ask for the recovery key, or its shares, on the terminal"},
	{"recovery-file", 0, "F", "read the recovery key, or shares, from F; - is standard input"},
	{"tpm2-pin-file", 0, "F", "read the PIN of a TPM slot from F; - asks on a terminal"},
	{"pin-file", 0, "F", "the same for a PKCS #11 token"},
	{"ask-agents", 0, NULL, "ask by systemd-ask-password, for as long as a slot waits"},
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
	.notes = "Hardware slots are asked in turn; one that fails does not stop the next. A PIN "
		 "is\n"
		 "asked for where a slot wants one, is given to that slot alone, and tried once.\n"
		 "--ask-agents is for root, and for mortise-ask-pin.service: after three wrong "
		 "PINs, "
		 "or\n"
		 "a question turned down, it asks no more and waits.\n"
		 "Shares of a recovery key are typed one after another, in any order.",
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
