/* SPDX-License-Identifier: ISC */
#include "scan_report.h"

#include <stdio.h>
#include <string.h>

#include "output.h"

#define LISTED_MAX    100 /* findings in one place; the rest are counted */
#define COMMIT_DIGITS 12
#define NAME_MAX_SIZE 4352
#define LEFT_OUT_SIZE 512

void scan_report_init(
	struct scan_report *report, const struct cli *cli, const struct scan_values *values)
{
	*report = (struct scan_report){.cli = cli,
		.values = values,
		.progress = progress_begin(),
		.findings = json_array(),
		.failures = json_array()};
}

void scan_report_done(struct scan_report *report)
{
	json_decref(report->findings);
	json_decref(report->failures);
}

void scan_report_begin(struct scan_report *report, const struct scan_place *place)
{
	report->place = *place;
	report->is_unpacked = false;
	report->listed = report->more = 0;
	report->recent_count = 0;
}

/* "src/app.conf", "repository@1f2e5b9cc253:src/app.conf" */
static void name_place(const struct scan_report *report, char name[NAME_MAX_SIZE])
{
	const struct scan_place *place = &report->place;
	const char *unpacked = report->is_unpacked ? " (unpacked)" : "";

	if (!place->git)
		(void)snprintf(name, NAME_MAX_SIZE, "%s%s",
			strcmp(place->file, "-") == 0 ? "standard input" : place->file, unpacked);
	else
		(void)snprintf(name, NAME_MAX_SIZE, "%s@%.*s:%s%s", place->git, COMMIT_DIGITS,
			place->commit, place->file[0] != '\0' ? place->file : "(message)",
			unpacked);
}

/* The same value at the same byte, in a form that differs in its end only. */
static bool is_repeated(struct scan_report *report, uint32_t value, uint64_t offset)
{
	value = value << 1 | report->is_unpacked;
	unsigned known = report->recent_count < SCAN_RECENT ? report->recent_count : SCAN_RECENT;

	for (unsigned i = 0; i < known; i++)
		if (report->recent[i].offset == offset && report->recent[i].value == value)
			return true;
	report->recent[report->recent_count % SCAN_RECENT].offset = offset;
	report->recent[report->recent_count++ % SCAN_RECENT].value = value;
	return false;
}

/* Names of files need not be UTF-8. */
static json_t *put_name(json_t *object, const char *key, const char *name)
{
	char base64_key[32];
	json_t *text = output_json_text(name, strlen(name));

	(void)snprintf(base64_key, sizeof base64_key, "%s_base64", key);
	if (!text) {
		text = output_json_base64(name, strlen(name));
		key = base64_key;
	}
	if (object)
		(void)json_object_set_new(object, key, text);
	return object;
}

static void keep(struct scan_report *report, json_t *list, json_t *object)
{
	if (!object || json_array_append_new(list, object) != 0)
		report->lacks_memory = true;
}

static json_t *describe(
	const struct scan_report *report, uint32_t tag, uint64_t offset, uint64_t line)
{
	const struct scan_value *value = scan_values_value(report->values, tag);
	const struct scan_secret *secret = &report->values->secrets[value->secret];
	const struct scan_place *place = &report->place;
	json_t *object = put_name(json_object(), "file", place->file);

	if (object && place->git) {
		put_name(object, "git", place->git);
		(void)json_object_set_new(object, "commit", json_string(place->commit));
	}
	if (!object || json_object_update_new(object,
			       json_pack("{s:b, s:o, s:o, s:o, s:o, s:b, s:s}", "unpacked",
				       report->is_unpacked, "line", output_json_number(line),
				       "offset", output_json_number(offset), "secret",
				       output_json_said(secret->path), "version",
				       output_json_number(value->version), "current",
				       value->version == secret->current, "encoding",
				       scan_values_encoding(report->values, tag))) != 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

void scan_report_found(void *context, uint32_t tag, uint64_t offset, uint64_t line)
{
	struct scan_report *report = context;
	const struct scan_value *value = scan_values_value(report->values, tag);
	const struct scan_secret *secret = &report->values->secrets[value->secret];
	char name[NAME_MAX_SIZE];

	if (is_repeated(report, tag >> SCAN_NAME_BITS, offset))
		return;
	report->found++;
	if (report->listed == LISTED_MAX) {
		report->more++;
		return;
	}
	report->listed++;
	if (report->cli->is_json) {
		keep(report, report->findings, describe(report, tag, offset, line));
		return;
	}
	progress_clear(&report->progress);
	name_place(report, name);
	output_text(name);
	printf(":%llu: byte %llu: %s version %llu%s, %s\n", (unsigned long long)line,
		(unsigned long long)offset, secret->path, (unsigned long long)value->version,
		value->version == secret->current ? "" : " (not current)",
		scan_values_encoding(report->values, tag));
}

void scan_report_end(struct scan_report *report, uint64_t bytes)
{
	char name[NAME_MAX_SIZE];

	report->texts++;
	report->bytes += bytes;
	if (report->more > 0 && !report->cli->is_json) {
		progress_clear(&report->progress);
		name_place(report, name);
		output_text(name);
		printf(": and %llu more\n", (unsigned long long)report->more);
	}
}

void scan_report_unreadable(struct scan_report *report, const char *name, const char *why)
{
	report->unreadable++;
	if (report->cli->is_json) {
		keep(report, report->failures,
			put_name(json_pack("{s:o}", "message", output_json_said(why)), "file",
				name));
		return;
	}
	progress_clear(&report->progress);
	output_note("cannot read %s: %s", strcmp(name, "-") == 0 ? "standard input" : name, why);
}

void scan_report_unreadable_here(struct scan_report *report, const char *why)
{
	char name[NAME_MAX_SIZE];

	name_place(report, name);
	scan_report_unreadable(report, name, why);
}

static void add_left_out(char *line, uint64_t count, const char *what)
{
	size_t size = strlen(line);

	if (count > 0)
		(void)snprintf(line + size, LEFT_OUT_SIZE - size, "%s%llu %s",
			size > 0 ? ", " : "left out: ", (unsigned long long)count, what);
}

static void say_all(const struct scan_report *report)
{
	const struct scan_values *values = report->values;
	char line[LEFT_OUT_SIZE] = "";

	output_note("searched %llu texts, %.1f MiB, for %zu values of %zu secrets: found %llu",
		(unsigned long long)report->texts, (double)report->bytes / 1048576,
		values->value_count, values->secret_count - values->denied,
		(unsigned long long)report->found);
	add_left_out(line, values->denied, "secrets that you may not read");
	add_left_out(line, values->deleted, "deleted secrets");
	add_left_out(line, values->too_short, "values of less than 8 bytes");
	add_left_out(line, report->special, "special files or file systems");
	add_left_out(line, report->links, "symbolic links");
	add_left_out(
		line, report->opaque, "texts packed or encrypted, but for what is plain in them");
	add_left_out(line, report->unreadable, "places that could not be read");
	if (line[0] != '\0')
		output_note("%s", line);
	if (report->submodules > 0)
		output_note("%llu histories have submodules, which have histories of their own: "
			    "--git=DIR/SUBMODULE",
			(unsigned long long)report->submodules);
	if (report->histories > 0)
		output_note(
			"%llu git directories were seen, whose history is compressed; --git=DIR "
			"searches it",
			(unsigned long long)report->histories);
}

static int print_json(struct scan_report *report)
{
	const struct scan_values *values = report->values;

	if (report->lacks_memory)
		return output_json(NULL);
	return output_json(json_pack("{s:O, s:O, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
				     "s:o, s:o, s:o}",
		"findings", report->findings, "unreadable", report->failures, "found",
		output_json_number(report->found), "texts", output_json_number(report->texts),
		"bytes", output_json_number(report->bytes), "secrets",
		output_json_number(values->secret_count - values->denied), "values",
		output_json_number(values->value_count), "denied",
		output_json_number(values->denied), "deleted", output_json_number(values->deleted),
		"too_short", output_json_number(values->too_short), "special",
		output_json_number(report->special), "links", output_json_number(report->links),
		"opaque", output_json_number(report->opaque), "submodules",
		output_json_number(report->submodules), "git_directories",
		output_json_number(report->histories)));
}

int scan_report_finish(struct scan_report *report)
{
	progress_clear(&report->progress);
	if (!report->cli->is_json)
		say_all(report);
	else if (print_json(report) != CLI_DONE)
		return CLI_IO;
	if (report->found > 0)
		return CLI_FOUND;
	return report->unreadable > 0 ? CLI_IO : CLI_DONE;
}
