/* SPDX-License-Identifier: ISC */
#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

#define FILE_RESERVE 4096

void key_file_abandon(struct key_file *file)
{
	if (file->name != NULL)
		output_file_abandon(&file->file);
}

static int refuse_target(
	const struct cli *cli, const struct key_file *file, enum mortise_status status)
{
	if (status == MORTISE_CONFLICT)
		return output_fail(cli, status,
			"%s exists; move it away, or name another --recovery-file", file->name);
	return output_fail(
		cli, status, "cannot make the recovery file %s: %s", file->name, file->file.wrong);
}

/* Who reads a FIFO and goes before the key has come is an error, and no death without a word. */
static int create(const struct cli *cli, struct key_file *file)
{
	enum mortise_status status = output_file_open(file->name, OUTPUT_FILE_CLAIM, &file->file);

	if (status != MORTISE_OK)
		return refuse_target(cli, file, status);
	(void)signal(SIGPIPE, SIG_IGN);
	errno = file->file.is_file ? posix_fallocate(file->file.fd, 0, FILE_RESERVE) : 0;
	if (errno == 0)
		return CLI_DONE;
	(void)snprintf(file->file.wrong, sizeof file->file.wrong, "%s", strerror(errno));
	key_file_abandon(file);
	return refuse_target(cli, file, MORTISE_IO);
}

int key_file_prepare(const struct cli *cli, struct key_file *file)
{
	int ending;

	file->name = cli->is_dry_run ? "-" : args_value(cli, "recovery-file");
	if (file->name == NULL && (cli->is_json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return output_fail(cli, MORTISE_INVALID,
			"the recovery key must go somewhere: use a terminal (without --json), or "
			"--recovery-file=F");
	if (file->name == NULL)
		return CLI_DONE;
	ending = create(cli, file);
	if (ending != CLI_DONE || !file->file.is_output || !cli->is_json || cli->is_dry_run)
		return ending;
	key_file_abandon(file);
	return output_fail(cli, MORTISE_INVALID,
		"with --json the recovery key needs a --recovery-file of its own");
}

/* Past stdio, which would keep a copy of the key. */
static enum mortise_status write_all(
	int fd, const char *indent, const struct key_line *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		TRY(output_write(fd, indent, strlen(indent)));
		TRY(output_write(fd, lines[i].text, lines[i].size));
		TRY(output_write(fd, "\n", 1));
	}
	return MORTISE_OK;
}

/* A file has room for more than the key. */
static enum mortise_status finish(struct output_file *file)
{
	off_t end = file->is_file ? lseek(file->fd, 0, SEEK_CUR) : 0;

	if (end < 0 || (file->is_file && ftruncate(file->fd, end) != 0))
		return MORTISE_IO;
	return output_file_commit(file);
}

enum mortise_status key_file_keep(struct key_file *file, const char *comment, const char *before,
	const struct key_line *lines, size_t count, const char *after)
{
	if (file->name == NULL) {
		TRY(output_write(STDOUT_FILENO, before, strlen(before)));
		TRY(write_all(STDOUT_FILENO, "    ", lines, count));
		return output_write(STDOUT_FILENO, after, strlen(after));
	}
	output_file_treasure();
	TRY(output_write(file->file.fd, comment, strlen(comment)));
	TRY(write_all(file->file.fd, "", lines, count));
	return finish(&file->file);
}

bool key_file_is_output(const struct key_file *file)
{
	return file->name != NULL && file->file.is_output;
}
