/* SPDX-License-Identifier: ISC */
#include "import_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "envfile.h"
#include "output.h"
#include "output_file.h"

static const char reference[] = "mortise:";

/* The value of an entry in the text as it was: of what is quoted the quotes are part. */
static void find_value(
	const struct import_file *file, const char *behind, struct import_entry *entry)
{
	const char *parsed = (const char *)file->parsed->bytes;
	const char *text = (const char *)file->text->bytes;
	size_t from = (size_t)(entry->name - parsed) + strlen(entry->name) + 1;
	size_t start = from + strspn(text + from, " \t");

	entry->from = from;
	if (text[start] == '"' || text[start] == '\'') {
		entry->to = (size_t)(behind - parsed);
		while (strchr(" \t", text[entry->to - 1]) != NULL)
			entry->to--;
	} else {
		entry->to = (size_t)(entry->value - parsed) + strlen(entry->value);
	}
}

static int add_entry(const struct cli *cli, const struct envfile_entry *found, const char *behind,
	struct import_file *file)
{
	struct import_entry *entries =
		reallocarray(file->entries, file->count + 1, sizeof *entries);

	if (entries == NULL)
		return output_fail(cli, MORTISE_IO, "out of memory");
	file->entries = entries;
	struct import_entry *entry = &entries[file->count++];
	*entry = (struct import_entry){
		.name = found->name, .value = found->value, .line = found->line};
	find_value(file, behind, entry);
	return CLI_DONE;
}

static int parse(const struct cli *cli, struct import_file *file)
{
	struct envfile envfile;
	struct envfile_entry entry;
	enum mortise_status status;

	envfile_begin(&envfile, (char *)file->parsed->bytes, file->parsed->size);
	while ((status = envfile_next(&envfile, &entry)) == MORTISE_OK)
		if (add_entry(cli, &entry, envfile.at, file) != CLI_DONE)
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
	file->text->bytes[file->text->size] = '\0';
	memcpy(file->parsed, file->text, sizeof *file->text);
	return parse(cli, file);
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
	return strncmp(entry->value, reference, sizeof reference - 1) == 0;
}

static enum mortise_status write_references(int fd, const struct import_file *file)
{
	const uint8_t *text = file->text->bytes;
	size_t at = 0;

	for (size_t i = 0; i < file->count; i++) {
		const struct import_entry *entry = &file->entries[i];

		if (!entry->is_chosen)
			continue;
		TRY(output_write(fd, text + at, entry->from - at));
		TRY(output_write(fd, reference, sizeof reference - 1));
		TRY(output_write(fd, entry->path, strlen(entry->path)));
		at = entry->to;
	}
	return output_write(fd, text + at, file->text->size - at);
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
	TRY(write_references(output->fd, file));
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
