/* SPDX-License-Identifier: ISC */
#include "policy_change.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "output.h"

#define MARK "; file: " /* before each file, in the text of POLICY_SHOW */

static int fail_errno(const struct cli *cli, const char *name)
{
	return output_fail(cli, MORTISE_IO, "cannot read %s: %s", name, strerror(errno));
}

void policy_files_drop(struct policy_files *files)
{
	for (int i = 0; i < files->count; i++)
		free(files->file[i].bytes);
	files->count = 0;
}

/* Reads up to the end, or one byte more than all files may have. */
static int read_all(const struct cli *cli, int fd, const char *path, struct policy_file *file)
{
	size_t room = 0;

	while (file->size <= POLICY_TEXT_MAX) {
		ssize_t got;

		if (file->size == room) {
			char *grown = realloc(file->bytes, room + WIRE_CHUNK_MAX);

			if (!grown)
				return output_fail(cli, MORTISE_IO, "out of memory");
			file->bytes = grown;
			room += WIRE_CHUNK_MAX;
		}
		got = read(fd, file->bytes + file->size, room - file->size);
		if (got == 0)
			return CLI_DONE;
		if (got < 0 && errno != EINTR)
			return fail_errno(cli, path);
		file->size += got > 0 ? (size_t)got : 0;
	}
	return CLI_DONE;
}

int policy_files_add(const struct cli *cli, struct policy_files *files, const char *name, int fd,
	const char *path)
{
	struct policy_file *file = &files->file[files->count];
	int ending;

	if (files->count == POLICY_FILES_MAX)
		return output_fail(cli, MORTISE_REJECTED,
			"a policy is at most %d files; join some of them", POLICY_FILES_MAX);
	if (strlen(name) >= sizeof file->name)
		return output_fail(cli, MORTISE_INVALID,
			"%s: the name of a policy file has at most %d bytes", name,
			POLICY_NAME_SIZE - 1);
	*file = (struct policy_file){.bytes = NULL};
	memcpy(file->name, name, strlen(name) + 1);
	files->count++;
	ending = read_all(cli, fd, path, file);
	files->size += file->size;
	if (ending == CLI_DONE && files->size > POLICY_TEXT_MAX)
		return output_fail(cli, MORTISE_REJECTED,
			"a policy is at most %d bytes; %s is more", POLICY_TEXT_MAX, path);
	return ending;
}

static int add_file(const struct cli *cli, struct policy_files *files, int directory,
	const char *path, const char *name)
{
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int ending;

	if (fd < 0)
		return fail_errno(cli, path);
	ending = policy_files_add(cli, files, name, fd, path);
	(void)close(fd);
	return ending;
}

bool policy_is_file_name(const char *name)
{
	size_t size = strlen(name), ending_size = strlen(POLICY_ENDING);

	return name[0] != '.' && size > ending_size &&
	       strcmp(name + size - ending_size, POLICY_ENDING) == 0;
}

static int order(const struct dirent **one, const struct dirent **other)
{
	return strcmp((*one)->d_name, (*other)->d_name);
}

static int add_entries(const struct cli *cli, struct policy_files *files, int directory,
	const char *path, struct dirent **entries, int count)
{
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		int ending;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (!policy_is_file_name(name)) {
			if (!cli->is_quiet)
				output_note("ignored %s/%s: its name does not end with %s", path,
					name, POLICY_ENDING);
			continue;
		}
		ending = add_file(cli, files, directory, name, name);
		if (ending != CLI_DONE)
			return ending;
	}
	if (files->count == 0)
		return output_fail(cli, MORTISE_REJECTED, "%s has no file *%s; nothing was applied",
			path, POLICY_ENDING);
	return CLI_DONE;
}

static int add_directory(
	const struct cli *cli, struct policy_files *files, int directory, const char *path)
{
	struct dirent **entries = NULL;
	int count = scandirat(directory, ".", &entries, NULL, order);
	int ending;

	if (count < 0)
		return fail_errno(cli, path);
	ending = add_entries(cli, files, directory, path, entries, count);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	return ending;
}

int policy_files_read(const struct cli *cli, const char *path, struct policy_files *files)
{
	const char *slash = strrchr(path, '/');
	int directory, ending;

	if (strcmp(path, "-") == 0)
		return policy_files_add(
			cli, files, "standard-input", STDIN_FILENO, "standard input");
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 && errno == ENOTDIR)
		return add_file(cli, files, AT_FDCWD, path, slash ? slash + 1 : path);
	if (directory < 0)
		return fail_errno(cli, path);
	ending = add_directory(cli, files, directory, path);
	(void)close(directory);
	return ending;
}

/* A piece of a text that was shown, and what it is called there up to the end of the line. */
static bool add_piece(struct policy_files *files, const char *name, const char *text, size_t size)
{
	struct policy_file *file = &files->file[files->count];
	size_t name_size = strcspn(name, "\n");

	if (files->count == POLICY_FILES_MAX || name_size >= sizeof file->name)
		return false;
	*file = (struct policy_file){.bytes = malloc(size + 1), .size = size};
	if (!file->bytes)
		return false;
	memcpy(file->name, name, name_size);
	memcpy(file->bytes, text, size);
	files->count++;
	files->size += size;
	return true;
}

/* It has a line "; file: NAME" before each file, and an empty one between two. */
bool policy_files_split(const char *text, struct policy_files *files)
{
	while (strncmp(text, MARK, strlen(MARK)) == 0) {
		const char *name = text + strlen(MARK), *start = name + strcspn(name, "\n");
		const char *next;

		if (*start++ != '\n')
			return false;
		next = strstr(start, "\n" MARK);
		if (!add_piece(files, name, start, next ? (size_t)(next - start) : strlen(start)))
			return false;
		if (!next)
			return true;
		text = next + 1;
	}
	return *text == '\0';
}

char *policy_files_shown(const struct policy_files *files)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (int i = 0; i < files->count; i++) {
		const struct policy_file *file = &files->file[i];

		(void)fprintf(out, "%s" MARK "%s\n", i > 0 ? "\n" : "", file->name);
		if (file->size > 0)
			(void)fwrite(file->bytes, 1, file->size, out);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* An empty file is sent too: it is part of the policy that is shown. */
static enum mortise_status send_file(struct cli *cli, const struct policy_file *file)
{
	size_t at = 0;

	do {
		size_t left = file->size - at;
		size_t part = left < WIRE_CHUNK_MAX ? left : WIRE_CHUNK_MAX;
		struct wire_writer *writer = client_begin(cli->agent, WIRE_POLICY_STAGE);
		struct wire_message reply;

		wire_put_text(writer, WIRE_TAG_NAME, file->name);
		wire_put(writer, WIRE_TAG_CHUNK, file->bytes + at, part);
		wire_put_number(writer, WIRE_TAG_OFFSET, at);
		TRY(client_call(cli->agent, &reply));
		at += part;
	} while (at < file->size);
	return MORTISE_OK;
}

int policy_files_send(struct cli *cli, const void *context)
{
	const struct policy_files *files = context;

	for (int i = 0; i < files->count; i++) {
		const struct policy_file *file = &files->file[i];
		enum mortise_status status = send_file(cli, file);

		if (status != MORTISE_OK)
			return ask_fail(cli, status, status == MORTISE_INVALID ? file->name : NULL);
	}
	return CLI_DONE;
}
