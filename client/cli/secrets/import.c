/* SPDX-License-Identifier: ISC */
/* import: the values of a .env file into secrets, all of them or none, and references back. */
#include "import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "array.h"
#include "ask.h"
#include "envfile.h"
#include "output.h"
#include "output_file.h"
#include "path.h"

static int add_entry(
	const struct cli *cli, const struct envfile_entry *found, struct import_file *file)
{
	struct import_entry *entries = array_room(file->entries, file->count, sizeof *entries);

	if (!entries)
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

/* CLI_DONE, or an exit status after the error. The file is the caller's also on failure. */
static int import_file_read(const struct cli *cli, const char *name, struct import_file *file)
{
	enum mortise_status status;

	file->name = name;
	file->text = input_new();
	file->parsed = input_new();
	if (!file->text || !file->parsed)
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

/*
 * Replaces the file, all at once, by one with references instead of the chosen values. Mode and
 * owner stay. MORTISE_CONFLICT if it is not what was read any more; MORTISE_IO with errno.
 */
static enum mortise_status import_file_rewrite(const struct import_file *file)
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

#define NAMES_SIZE 512

/* Does the list of names, by commas, have this one? */
static bool has_name(const char *list, const char *name)
{
	size_t size = strlen(name);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == '\0'))
			return true;
	}
	return false;
}

/* Each name of the list must be in the file: a typing error would import too much or little. */
static int check_names(const struct cli *cli, const struct import_file *file, const char *option)
{
	const char *list = args_value(cli, option);

	for (const char *at = list; at && *at != '\0';) {
		size_t size = strcspn(at, ","), i = 0;

		while (i < file->count && (strncmp(file->entries[i].name, at, size) != 0 ||
						  file->entries[i].name[size] != '\0'))
			i++;
		if (i == file->count)
			return output_fail(cli, MORTISE_INVALID, "--%s: %s has no %.*s", option,
				cli->operands[0], (int)size, at);
		at += size + (at[size] == ',');
	}
	return CLI_DONE;
}

static int check_twice(
	const struct cli *cli, const struct import_file *file, const struct import_entry *entry)
{
	for (const struct import_entry *other = file->entries; other < entry; other++)
		if (other->is_chosen && strcmp(other->path, entry->path) == 0)
			return output_fail(cli, MORTISE_REJECTED,
				"%s:%d: %s and %s of line %d would both be %s; leave one out with "
				"--except, or mend the file",
				cli->operands[0], entry->line, entry->name, other->name,
				other->line, entry->path);
	return CLI_DONE;
}

static int choose(const struct cli *cli, const char *prefix, struct import_file *file)
{
	const char *only = args_value(cli, "only"), *except = args_value(cli, "except");
	int ending = check_names(cli, file, "only");

	if (ending == CLI_DONE)
		ending = check_names(cli, file, "except");
	for (size_t i = 0; i < file->count && ending == CLI_DONE; i++) {
		struct import_entry *entry = &file->entries[i];

		if ((only && !has_name(only, entry->name)) || has_name(except, entry->name) ||
			import_file_is_reference(entry))
			continue;
		if (!envfile_path_of(prefix, entry->name, entry->path) ||
			!path_is_valid(entry->path, strlen(entry->path)))
			return output_fail(cli, MORTISE_INVALID,
				"%s:%d: %s makes no path below %s; leave it out: --except=%s",
				cli->operands[0], entry->line, entry->name, prefix, entry->name);
		ending = check_twice(cli, file, entry);
		entry->is_chosen = true;
		file->chosen++;
	}
	if (ending == CLI_DONE && file->chosen == 0)
		return output_fail(
			cli, MORTISE_INVALID, "%s: nothing in it to import", cli->operands[0]);
	if (ending == CLI_DONE && file->chosen > WIRE_SETS_MAX)
		return output_fail(cli, MORTISE_INVALID,
			"%s: %zu values, and at most %d go in one transaction; choose with --only",
			cli->operands[0], file->chosen, WIRE_SETS_MAX);
	return ending;
}

/* Nothing is stored that --rewrite could not leave a file for. */
static int check_rewrite(const struct cli *cli, const struct import_file *file)
{
	if (!args_has(cli, "rewrite"))
		return CLI_DONE;
	if (!S_ISREG(file->info.st_mode))
		return output_fail(cli, MORTISE_INVALID,
			"%s: it is no regular file, so it can't be rewritten; leave out --rewrite",
			file->name);
	if (import_file_rewritten_size(file) > MORTISE_VALUE_MAX)
		return output_fail(cli, MORTISE_INVALID,
			"%s: with references in it it would be larger than %d bytes; take a "
			"shorter PREFIX, or fewer names: --only",
			file->name, MORTISE_VALUE_MAX);
	return CLI_DONE;
}

static enum mortise_status request(
	struct cli *cli, const struct import_file *file, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_SET_BATCH);
	size_t mark = wire_list_begin(writer, WIRE_TAG_ITEMS);

	for (size_t i = 0; i < file->count; i++) {
		const struct import_entry *entry = &file->entries[i];
		size_t item;

		if (!entry->is_chosen)
			continue;
		item = wire_item_begin(writer);
		wire_put_text(writer, WIRE_TAG_PATH, entry->path);
		wire_put(writer, WIRE_TAG_VALUE, entry->value, strlen(entry->value));
		wire_item_end(writer, item);
	}
	wire_list_end(writer, mark);
	TRY(client_put_token(cli->agent));
	if (args_has(cli, "if-changed"))
		wire_put_number(writer, WIRE_TAG_IF_CHANGED, 1);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (args_has(cli, "note"))
		wire_put_text(writer, WIRE_TAG_NOTE, args_value(cli, "note"));
	if (writer->failed)
		return client_fail(cli->agent, MORTISE_INVALID,
			"the values are larger than one transaction may be (%d bytes); choose with "
			"--only",
			WIRE_FRAME_MAX);
	return client_call(cli->agent, out_reply);
}

static void report_line(
	const struct cli *cli, const struct import_entry *entry, const struct wire_message *item)
{
	printf("%s: %sversion %llu of %s%s\n", entry->name, cli->is_dry_run ? "would be " : "",
		(unsigned long long)ask_number(item, WIRE_TAG_VERSION, 0), entry->path,
		ask_flag(item, WIRE_TAG_CHANGED) ? "" : ", unchanged");
}

static json_t *describe_line(const struct import_entry *entry, const struct wire_message *item)
{
	char name[MORTISE_PATH_MAX + 1];

	envfile_name_of(entry->path, name);
	return json_pack("{s:s, s:s, s:s, s:o, s:b}", "name", entry->name, "path", entry->path,
		"env_from", name, "version",
		output_json_number(ask_number(item, WIRE_TAG_VERSION, 0)), "changed",
		ask_flag(item, WIRE_TAG_CHANGED));
}

/* A path has small letters only. A file with references keeps the names. */
static void tell_of_names(const struct cli *cli, const struct import_file *file)
{
	char name[MORTISE_PATH_MAX + 1], names[NAMES_SIZE] = "";
	const struct import_entry *first = NULL;
	size_t size = 0;

	if (args_has(cli, "rewrite"))
		return;
	for (size_t i = 0; i < file->count; i++) {
		const struct import_entry *entry = &file->entries[i];

		envfile_name_of(entry->path, name);
		if (!entry->is_chosen || strcmp(entry->name, name) == 0)
			continue;
		first = first ? first : entry;
		if (size < sizeof names)
			size += (size_t)snprintf(names + size, sizeof names - size, "%s%s as %s",
				size > 0 ? ", " : "", entry->name, name);
	}
	if (first)
		output_note("exec --env-from will give %s; to keep a name: exec -e %s=%s, or a "
			    "file of import --rewrite",
			names, first->name, first->path);
}

/* Names, paths and versions; *out_lines only with --json. */
static int report(const struct cli *cli, const struct import_file *file,
	const struct wire_message *reply, bool *out_changed, json_t *lines)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct wire_message item;

	for (size_t i = 0; i < file->count; i++) {
		if (!file->entries[i].is_chosen)
			continue;
		if (!ask_next(&items, &item))
			return ask_fail_malformed(cli);
		*out_changed = *out_changed || ask_flag(&item, WIRE_TAG_CHANGED);
		if (!cli->is_json)
			report_line(cli, &file->entries[i], &item);
		else if (json_array_append_new(lines, describe_line(&file->entries[i], &item)) != 0)
			return output_json(NULL);
	}
	return CLI_DONE;
}

static int rewrite(const struct cli *cli, const struct import_file *file)
{
	const char *name = cli->operands[0];
	enum mortise_status status;

	if (!args_has(cli, "rewrite") || cli->is_dry_run)
		return CLI_DONE;
	status = import_file_rewrite(file);
	if (status == MORTISE_CONFLICT)
		return output_fail(cli, status,
			"%s: it was changed meanwhile, so it is as it was; the values are stored",
			name);
	if (status != MORTISE_OK)
		return output_fail(cli, status,
			"%s: the values are stored, but it stays as it was: %s", name,
			strerror(errno));
	output_note("%s has references now. What was in it may still be on the disk: overwriting a "
		    "file proves nothing on an SSD, nor for copies and backups. Whoever could read "
		    "it may have the values; new ones are the only cure",
		name);
	return CLI_DONE;
}

static int finish(struct cli *cli, const struct import_file *file, const struct wire_message *reply)
{
	json_t *lines = cli->is_json ? json_array() : NULL;
	bool is_changed = false;
	int ending = report(cli, file, reply, &is_changed, lines);

	if (ending == CLI_DONE)
		ending = rewrite(cli, file);
	if (ending == CLI_DONE && !cli->is_json)
		tell_of_names(cli, file);
	if (ending == CLI_DONE && cli->is_json)
		return output_json(json_pack("{s:o, s:b, s:b, s:b}", "secrets", lines, "changed",
			is_changed, "dry_run", cli->is_dry_run, "rewritten",
			args_has(cli, "rewrite") && !cli->is_dry_run));
	json_decref(lines);
	return ending;
}

static int store(struct cli *cli, const struct import_file *file)
{
	struct wire_message reply;
	enum mortise_status status = request(cli, file, &reply);

	if (status == MORTISE_OK)
		return finish(cli, file, &reply);
	if (status == MORTISE_DENIED)
		return output_fail(cli, status, "%s", mortise_message(cli->agent));
	return ask_fail(cli, status, NULL);
}

static int import(struct cli *cli)
{
	CLEANUP(import_file_done) struct import_file file = {0};
	struct ask_path prefix;
	size_t size;
	int ending;

	if (args_has(cli, "rewrite") && strcmp(cli->operands[0], "-") == 0)
		return output_fail(
			cli, MORTISE_INVALID, "standard input can't be rewritten; name the file");
	ending = ask_expand(cli, cli->operands[1], &prefix);
	if (ending == CLI_DONE)
		ending = import_file_read(cli, cli->operands[0], &file);
	if (ending != CLI_DONE)
		return ending;
	size = strlen(prefix.text);
	if (size > 0 && prefix.text[size - 1] == '/')
		prefix.text[size - 1] = '\0';
	ending = choose(cli, prefix.text, &file);
	if (ending == CLI_DONE)
		ending = check_rewrite(cli, &file);
	return ending == CLI_DONE ? store(cli, &file) : ending;
}

static const struct option options[] = {
	{"only", 0, "N,..", "these names and no others"},
	{"except", 0, "N,..", "all but these names"},
	{"if-changed", 0, NULL, "no new version where the value is the current one (verb read)"},
	{"note", 0, "TEXT", "why, in a line, beside these versions"},
	{"rewrite", 0, NULL, "leave references in the file, for exec --env-file"},
	{0},
};

const struct command command_import = {
	.name = "import",
	.operands = "FILE PREFIX",
	.summary = "store the values of a .env file, all or none",
	.options = options,
	.least = 2,
	.most = 2,
	.changes_something = true,
	.verb = "write",
	.exits = {CLI_INTEGRITY, CLI_REJECTED},
	.notes =
		"DB_PASSWORD=... becomes PREFIX/db-password, which exec --env-from=PREFIX/ turns\n"
		"back. Quotes, export, comments and values of several lines are understood; no\n"
		"variable is expanded; what is a reference already is left alone. No value is\n"
		"shown. With --rewrite the file is replaced all at once, with its mode and owner;\n"
		"what was in it may stay on the disk all the same.",
	.examples = "  mortise import --dry-run app.env prod/app\n"
		    "  mortise import --rewrite --except=LANG,PORT app.env prod/app\n"
		    "  mortise exec --env-file=app.env -- bin/app",
	.run = import,
};
