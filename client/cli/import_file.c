/* SPDX-License-Identifier: ISC */
#include "import_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "envfile.h"
#include "output.h"
#include "output_file.h"

static int add_entry(
	const struct cli *cli, const struct envfile_entry *found, struct import_file *file)
{
	struct import_entry *entries =
		reallocarray(file->entries, file->count + 1, sizeof *entries);

	if (entries == NULL)
		return output_fail(cli, MORTISE_IO, "out of memory");
	file->entries = entries;
	entries[file->count++] = (struct import_entry){.name = found->name,
		.value = found->value,
		.line = found->line,
		.from = found->from,
		.to = found->to};
	return CLI_DONE;
}

int import_file_parse(const struct cli *cli, struct import_file *file)
{
	struct envfile envfile;
	struct envfile_entry entry;
	enum mortise_status status;

	file->text->bytes[file->text->size] = '\0';
	memcpy(file->parsed, file->text, sizeof *file->text);
	envfile_begin(&envfile, (char *)file->parsed->bytes, file->parsed->size);
	while ((status = envfile_next(&envfile, &entry)) == MORTISE_OK)
		if (add_entry(cli, &entry, file) != CLI_DONE)
			return CLI_IO;
	if (status == MORTISE_NOT_FOUND)
		return CLI_DONE;
	return output_fail(cli, status, "%s:%d: %s", file->name, envfile.line, envfile.wrong);
}

int import_file_read(const struct cli *cli, const char *name, struct import_file *file)
{
	enum mortise_status status;

	file->name = name;
	file->text = input_new();
	file->parsed = input_new();
	if (file->text == NULL || file->parsed == NULL)
		return output_fail(cli, MORTISE_IO, "out of memory");
	if (strcmp(name, "-") != 0 && stat(name, &file->info) != 0)
		return output_fail(cli, MORTISE_IO, "cannot read %s: %s", name, strerror(errno));
	status = input_read(name, file->text);
	if (status != MORTISE_OK)
		return output_fail(cli, status, "cannot read %s: %s", name,
			status == MORTISE_IO ? strerror(errno) : "it is larger than 65536 bytes");
	return import_file_parse(cli, file);
}

void import_file_done(struct import_file *file)
{
	input_free(&file->text);
	input_free(&file->parsed);
	free(file->entries);
	file->entries = NULL;
}

bool import_file_is_reference(const struct import_entry *entry)
{
	return strncmp(entry->value, ENVFILE_REFERENCE, strlen(ENVFILE_REFERENCE)) == 0;
}

size_t import_file_rewritten_size(const struct import_file *file)
{
	size_t size = file->text->size;

	for (size_t i = 0; i < file->count; i++) {
		const struct import_entry *entry = &file->entries[i];

		if (entry->is_chosen)
			size += strlen(ENVFILE_REFERENCE) + strlen(entry->path) -
				(entry->to - entry->from);
	}
	return size;
}

enum mortise_status import_file_put(
	const struct import_file *file, import_file_write *write, void *context)
{
	const uint8_t *text = file->text->bytes;
	size_t at = 0;

	for (size_t i = 0; i < file->count; i++) {
		const struct import_entry *entry = &file->entries[i];

		if (!entry->is_chosen)
			continue;
		TRY(write(context, text + at, entry->from - at));
		TRY(write(context, ENVFILE_REFERENCE, strlen(ENVFILE_REFERENCE)));
		TRY(write(context, entry->path, strlen(entry->path)));
		at = entry->to;
	}
	return write(context, text + at, file->text->size - at);
}

static enum mortise_status write_on(void *context, const void *bytes, size_t size)
{
	return output_write(*(const int *)context, bytes, size);
}

static bool is_as_read(const struct import_file *file, const char *name)
{
	struct stat now;

	return stat(name, &now) == 0 && now.st_dev == file->info.st_dev &&
	       now.st_ino == file->info.st_ino && now.st_size == file->info.st_size &&
	       now.st_mtim.tv_sec == file->info.st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == file->info.st_mtim.tv_nsec;
}

static enum mortise_status replace(
	const struct import_file *file, const char *name, struct output_file *output)
{
	TRY(import_file_put(file, write_on, &output->fd));
	if (fchown(output->fd, file->info.st_uid, file->info.st_gid) != 0)
		return MORTISE_IO;
	output->mode = file->info.st_mode & 07777;
	if (!is_as_read(file, name))
		return MORTISE_CONFLICT;
	return output_file_commit(output);
}

enum mortise_status import_file_rewrite(const struct import_file *file)
{
	struct output_file output;
	int error;

	TRY(output_file_open(file->name, OUTPUT_FILE_REPLACE, &output));
	enum mortise_status status = replace(file, file->name, &output);
	error = errno;
	output_file_abandon(&output);
	errno = error;
	return status;
}
