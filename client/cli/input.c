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

	if (input != NULL)
		(void)mlock(input, sizeof *input);
	return input;
}

void input_free(struct input **input)
{
	if (*input != NULL)
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
	return fgets(answer, sizeof answer, stdin) != NULL &&
	       (answer[0] == 'y' || answer[0] == 'Y');
}

enum mortise_status input_file_begin(const char *name, struct input_file *out_file)
{
	struct input_file file = {.fd = STDOUT_FILENO, .mode = 0600, .name = name};
	int size;

	if (strcmp(name, "-") == 0) {
		*out_file = file;
		return MORTISE_OK;
	}
	size = snprintf(file.temporary, sizeof file.temporary, "%s.XXXXXX", name);
	if (size < 0 || (size_t)size >= sizeof file.temporary) {
		errno = ENAMETOOLONG;
		return MORTISE_IO;
	}
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit is an error, not a death beside a half file */
	file.fd = mkostemp(file.temporary, O_CLOEXEC);
	if (file.fd < 0)
		return MORTISE_IO;
	*out_file = file;
	return MORTISE_OK;
}

/* mkostemp() has made it 0600 less the umask. */
enum mortise_status input_file_commit(struct input_file *file)
{
	if (file->fd == STDOUT_FILENO)
		return MORTISE_OK;
	if (fchmod(file->fd, file->mode) != 0 || fsync(file->fd) != 0 ||
		rename(file->temporary, file->name) != 0)
		return MORTISE_IO;
	(void)close(file->fd);
	file->fd = STDOUT_FILENO;
	return MORTISE_OK;
}

void input_file_abandon(struct input_file *file)
{
	if (file->fd == STDOUT_FILENO)
		return;
	(void)unlink(file->temporary);
	(void)close(file->fd);
	file->fd = STDOUT_FILENO;
}

int input_file_write(const struct cli *cli, const char *name,
	enum mortise_status (*write)(int fd, const void *context), const void *context)
{
	bool is_output = name == NULL || strcmp(name, "-") == 0;
	enum mortise_status status;
	struct input_file file;
	int error;

	status = input_file_begin(is_output ? "-" : name, &file);
	if (status == MORTISE_OK) {
		status = write(file.fd, context);
		if (status == MORTISE_OK)
			status = input_file_commit(&file);
		error = errno;
		input_file_abandon(&file);
		errno = error;
	}
	if (status == MORTISE_OK)
		return CLI_DONE;
	return output_fail(cli, status, "cannot write to %s: %s",
		is_output ? "standard output" : name, strerror(errno));
}
