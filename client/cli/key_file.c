/* SPDX-License-Identifier: ISC */
#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

#define FILE_RESERVE 4096

static int refuse_target(const struct cli *cli, const struct key_file *file)
{
	if (errno == EEXIST)
		return output_fail(cli, MORTISE_CONFLICT,
			"%s exists; move it away, or name another --recovery-file", file->name);
	return output_fail(cli, MORTISE_IO, "cannot make the recovery file %s: %s", file->name,
		strerror(errno));
}

void key_file_abandon(struct key_file *file)
{
	if (file->name == NULL || file->fd == STDOUT_FILENO)
		return;
	(void)unlink(file->name);
	(void)close(file->fd);
}

static int create(const struct cli *cli, struct key_file *file)
{
	file->fd = open(file->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file->fd < 0)
		return refuse_target(cli, file);
	errno = fchmod(file->fd, 0600) == 0 ? posix_fallocate(file->fd, 0, FILE_RESERVE) : errno;
	if (errno != 0) {
		int ending = refuse_target(cli, file);

		key_file_abandon(file);
		return ending;
	}
	return CLI_DONE;
}

int key_file_prepare(const struct cli *cli, struct key_file *file)
{
	file->name = args_value(cli, "recovery-file");
	file->fd = STDOUT_FILENO;
	if (cli->is_dry_run)
		file->name = "-";
	if (file->name == NULL && (cli->is_json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return output_fail(cli, MORTISE_INVALID,
			"the recovery key must go somewhere: use a terminal (without --json), or "
			"--recovery-file=F");
	if (file->name == NULL)
		return CLI_DONE;
	if (strcmp(file->name, "-") != 0)
		return create(cli, file);
	if (cli->is_json && !cli->is_dry_run)
		return output_fail(cli, MORTISE_INVALID,
			"with --json the recovery key needs a --recovery-file of its own");
	return CLI_DONE;
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

enum mortise_status key_file_keep(struct key_file *file, const char *comment, const char *before,
	const struct key_line *lines, size_t count, const char *after)
{
	off_t end;

	if (file->name == NULL) {
		TRY(output_write(STDOUT_FILENO, before, strlen(before)));
		TRY(write_all(STDOUT_FILENO, "    ", lines, count));
		return output_write(STDOUT_FILENO, after, strlen(after));
	}
	TRY(output_write(file->fd, comment, strlen(comment)));
	TRY(write_all(file->fd, "", lines, count));
	if (file->fd == STDOUT_FILENO)
		return MORTISE_OK;
	end = lseek(file->fd, 0, SEEK_CUR);
	if (end < 0 || ftruncate(file->fd, end) != 0 || fsync(file->fd) != 0 ||
		close(file->fd) != 0)
		return MORTISE_IO;
	return MORTISE_OK;
}

bool key_file_is_output(const struct key_file *file)
{
	return file->fd == STDOUT_FILENO && file->name != NULL;
}
