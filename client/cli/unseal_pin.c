/* SPDX-License-Identifier: ISC */
#include "unseal_pin.h"

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
#include "output.h"
#include "typed.h"

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

enum mortise_status unseal_pin_send(struct cli *cli, const char *kind, uint64_t slot,
	const struct input *pin, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_UNSEAL);

	if (slot > 0)
		wire_put_number(writer, WIRE_TAG_NUMBER, slot);
	if (kind != NULL)
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
	question->is_line = typed_line(pin) == NULL;
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

int unseal_pin_by_agents(struct cli *cli, bool *out_changed)
{
	CLEANUP(input_free) struct input *pin = input_new();
	struct question question = {.complaint = ""};

	*out_changed = false;
	if (pin == NULL)
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
