/* SPDX-License-Identifier: ISC */
#include "readings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "array.h"
#include "audit_filter.h"
#include "audit_log.h"
#include "output.h"
#include "progress.h"
#include "when.h"

struct walk {
	struct cli *cli;
	const char *path;
	char wanted[MORTISE_PATH_MAX + 16]; /* what a line of this path has in it */
	struct readings *readings;
	struct progress progress;
	unsigned long long lines;
};

static void name_reader(const json_t *record, char *who, size_t size)
{
	json_int_t uid = json_integer_value(json_object_get(record, "uid"));

	if (strcmp(audit_text_of(record, "op"), "credential") == 0) {
		(void)snprintf(who, size, "credential %s", audit_text_of(record, "rule"));
		return;
	}
	const struct passwd *entry = accounts_user_of((uid_t)uid);
	(void)snprintf(who, size, "%s(%lld)", entry ? entry->pw_name : "uid", (long long)uid);
}

static struct reading *find_reader(struct readings *readings, const char *who)
{
	for (size_t i = 0; i < readings->count; i++)
		if (strcmp(readings->each[i].who, who) == 0)
			return &readings->each[i];
	void *each = array_room(readings->each, readings->count, sizeof *readings->each);
	if (!each)
		return NULL;
	readings->each = each;
	struct reading *reading = &readings->each[readings->count++];
	*reading = (struct reading){.count = 0};
	(void)snprintf(reading->who, sizeof reading->who, "%s", who);
	return reading;
}

static struct version_reading *find_version(struct readings *readings, uint64_t number)
{
	for (size_t i = 0; i < readings->version_count; i++)
		if (readings->versions[i].number == number)
			return &readings->versions[i];
	void *versions =
		array_room(readings->versions, readings->version_count, sizeof *readings->versions);
	if (!versions)
		return NULL;
	readings->versions = versions;
	struct version_reading *version = &readings->versions[readings->version_count++];
	*version = (struct version_reading){.number = number};
	return version;
}

static bool note_reading(struct readings *readings, const json_t *record)
{
	uint64_t number = (uint64_t)json_integer_value(json_object_get(record, "version"));
	uint64_t time_us = audit_time_of(record);
	char who[sizeof readings->each->who];

	name_reader(record, who, sizeof who);
	struct reading *reading = find_reader(readings, who);
	struct version_reading *version = number ? find_version(readings, number) : NULL;
	if (!reading || (number && !version))
		return false;
	reading->count++;
	reading->last_us = time_us;
	reading->version = number;
	if (version)
		version->last_us = time_us;
	return true;
}

/* Only lines of this path are taken apart, and the first one, which says when the log begins. */
static enum mortise_status take_line(void *context, const char *line, size_t size)
{
	struct walk *walk = context;
	bool is_done = true;

	progress_show(&walk->progress, "looked through %llu lines of the audit log", ++walk->lines);
	if (walk->lines > 1 && !memmem(line, size, walk->wanted, strlen(walk->wanted)))
		return MORTISE_OK;
	json_t *record = json_loadb(line, size, 0, NULL);
	if (walk->lines == 1)
		walk->readings->since_us = audit_time_of(record);
	if (audit_is_reading(record) && strcmp(audit_text_of(record, "path"), walk->path) == 0)
		is_done = note_reading(walk->readings, record);
	json_decref(record);
	return is_done ? MORTISE_OK : client_fail(walk->cli->agent, MORTISE_IO, "out of memory");
}

enum mortise_status readings_collect(
	struct cli *cli, const char *path, struct readings *out_readings)
{
	struct walk walk = {
		.cli = cli, .path = path, .readings = out_readings, .progress = progress_begin()};

	(void)snprintf(walk.wanted, sizeof walk.wanted, "\"path\":\"%s\"", path);
	enum mortise_status status = audit_walk(cli, take_line, &walk, NULL);
	progress_clear(&walk.progress);
	out_readings->is_known = status == MORTISE_OK;
	return status == MORTISE_DENIED ? MORTISE_OK : status;
}

void readings_drop(struct readings *readings)
{
	free(readings->each);
	free(readings->versions);
	*readings = (struct readings){.is_known = false};
}

uint64_t readings_of(const struct readings *readings, uint64_t version)
{
	for (size_t i = 0; i < readings->version_count; i++)
		if (readings->versions[i].number == version)
			return readings->versions[i].last_us;
	return 0;
}

void readings_print(const struct readings *readings)
{
	char when[WHEN_TEXT_SIZE];

	if (!readings->is_known) {
		puts("who did read it is in the audit log: that needs the verb audit");
		return;
	}
	when_format_local(readings->since_us, when);
	if (readings->count > 0)
		printf("was read, as far as the log goes back (%s), by\n", when);
	else
		printf("was not read, as far as the log goes back (%s)\n", when);
	for (size_t i = 0; i < readings->count; i++) {
		const struct reading *reading = &readings->each[i];
		when_format_local(reading->last_us, when);
		printf("  ");
		output_text(reading->who);
		printf("  %llu %s, last %s", (unsigned long long)reading->count,
			reading->count == 1 ? "time" : "times", when);
		if (reading->version)
			printf(" version %llu", (unsigned long long)reading->version);
		(void)putchar('\n');
	}
}

static json_t *describe(const struct reading *reading)
{
	char when[WHEN_TEXT_SIZE];

	when_format_utc(reading->last_us, when);
	json_t *object = json_pack("{s:o, s:o, s:s}", "who", output_json_said(reading->who),
		"count", output_json_number(reading->count), "last", when);
	if (object && reading->version)
		(void)json_object_set_new(object, "version", output_json_number(reading->version));
	return object;
}

void readings_put(const struct readings *readings, json_t *object)
{
	char when[WHEN_TEXT_SIZE];
	json_t *list;

	if (!readings->is_known)
		return;
	list = json_array();
	for (size_t i = 0; i < readings->count; i++)
		(void)json_array_append_new(list, describe(&readings->each[i]));
	when_format_utc(readings->since_us, when);
	(void)json_object_set_new(object, "reads", list);
	(void)json_object_set_new(object, "reads_since", json_string(when));
}
