/* SPDX-License-Identifier: ISC */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "output.h"
#include "shown.h"

/* What a signal's handler needs to mend the terminal. */
static struct termios terminal_before;

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

struct input *input_new(void)
{
	struct input *input = calloc(1, sizeof *input);

	if (input)
		(void)mlock(input, sizeof *input);
	return input;
}

void input_free(struct input **input)
{
	if (*input)
		mortise_wipe(*input, sizeof **input);
	free(*input);
	*input = NULL;
}

static enum mortise_status read_all(int fd, struct input *out_input)
{
	out_input->size = 0;
	for (;;) {
		ssize_t got = read(fd, out_input->bytes + out_input->size,
			MORTISE_VALUE_MAX + 1 - out_input->size);

		if (got < 0 && errno != EINTR)
			return MORTISE_IO;
		if (got == 0)
			return MORTISE_OK;
		if (got > 0)
			out_input->size += (size_t)got;
		if (out_input->size > MORTISE_VALUE_MAX)
			return MORTISE_INVALID;
	}
}

enum mortise_status input_read(const char *name, struct input *out_input)
{
	enum mortise_status status;
	int fd;

	if (strcmp(name, "-") == 0)
		return read_all(STDIN_FILENO, out_input);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return MORTISE_IO;
	status = read_all(fd, out_input);
	(void)close(fd);
	return status;
}

static void mend_and_end(int number)
{
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

/* Reads up to a newline, and the rest of a line that is too long. */
static enum mortise_status read_line(struct input *out_input)
{
	enum mortise_status status = MORTISE_OK;

	out_input->size = 0;
	for (;;) {
		uint8_t byte;
		ssize_t got = read(STDIN_FILENO, &byte, 1);

		if (got < 0 && errno != EINTR)
			return MORTISE_IO;
		if (got == 0 || (got > 0 && byte == '\n'))
			return status;
		if (got > 0 && out_input->size < MORTISE_VALUE_MAX)
			out_input->bytes[out_input->size++] = byte;
		else if (got > 0)
			status = MORTISE_INVALID;
	}
}

enum mortise_status input_ask_hidden(const char *prompt, struct input *out_input)
{
	enum { COUNT = sizeof ending_signals / sizeof ending_signals[0] };
	struct sigaction mend = {.sa_handler = mend_and_end}, ignore = {.sa_handler = SIG_IGN};
	struct sigaction before[COUNT], stop_before;
	enum mortise_status status;
	struct termios silent;

	if (tcgetattr(STDIN_FILENO, &terminal_before) != 0)
		return MORTISE_IO;
	(void)sigaction(SIGTSTP, &ignore, &stop_before);
	for (int i = 0; i < COUNT; i++)
		(void)sigaction(ending_signals[i], &mend, &before[i]);
	silent = terminal_before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	fprintf(stderr, "%s: ", prompt);
	status = read_line(out_input);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
	fputc('\n', stderr);
	for (int i = 0; i < COUNT; i++)
		(void)sigaction(ending_signals[i], &before[i], NULL);
	(void)sigaction(SIGTSTP, &stop_before, NULL);
	return status;
}

bool input_is_line(const struct input *input)
{
	json_t *text;

	if (input->size == 0 || input->bytes[input->size - 1] != '\n')
		return false;
	for (size_t i = 0; i + 1 < input->size; i++)
		if ((input->bytes[i] < ' ' && input->bytes[i] != '\t') || input->bytes[i] == 0x7f)
			return false;
	text = output_json_text(input->bytes, input->size);
	json_decref(text);
	return text != NULL;
}

bool input_confirm(const struct cli *cli, const char *question)
{
	char answer[16], shown[1024];

	if (cli->is_yes || cli->is_json || !isatty(STDIN_FILENO))
		return true;
	(void)shown_text(question, strlen(question), shown, sizeof shown);
	fprintf(stderr, "%s [y/N] ", shown);
	return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}
