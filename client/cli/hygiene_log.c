/* SPDX-License-Identifier: ISC */
#include "hygiene_log.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "audit_walk.h"

struct walk {
	struct progress *progress;
	struct hygiene_log *log;
	unsigned long long lines;
};

static int compare(const void *one, const void *other)
{
	return strcmp(((const struct hygiene_secret *)one)->path,
		((const struct hygiene_secret *)other)->path);
}

static const char *text_of(const json_t *record, const char *name)
{
	const char *text = json_string_value(json_object_get(record, name));

	return text != NULL ? text : "";
}

static void note_read(struct hygiene_log *log, const json_t *record)
{
	const char *path = text_of(record, "path");
	struct hygiene_secret key = {.is_read = false}, *found;

	if (strcmp(text_of(record, "result"), "ok") != 0 || strlen(path) > MORTISE_PATH_MAX)
		return;
	memcpy(key.path, path, strlen(path) + 1);
	found = bsearch(&key, log->secrets, log->count, sizeof key, compare);
	if (found != NULL)
		found->is_read = true;
}

/* What is handed to a unit as a credential was read, too. */
static bool is_reading(const char *line, size_t size)
{
	static const char get[] = "\"op\":\"get\"", credential[] = "\"op\":\"credential\"";

	return memmem(line, size, get, sizeof get - 1) != NULL ||
	       memmem(line, size, credential, sizeof credential - 1) != NULL;
}

/* Most lines of most logs are gets; the others are not worth taking apart. */
static enum mortise_status take_line(void *context, const char *line, size_t size)
{
	struct walk *walk = context;

	progress_show(walk->progress, "looked through %llu lines of the audit log", ++walk->lines);
	if (!is_reading(line, size))
		return MORTISE_OK;
	json_t *record = json_loadb(line, size, 0, NULL);
	note_read(walk->log, record);
	json_decref(record);
	return MORTISE_OK;
}

static enum mortise_status list_secrets(struct cli *cli, struct hygiene_log *log)
{
	struct listing listing = {0};
	enum mortise_status status = listing_collect(cli, "", &listing);

	if (status == MORTISE_OK && listing.count > 0) {
		log->secrets = calloc(listing.count, sizeof *log->secrets);
		if (log->secrets == NULL)
			status = client_fail(cli->agent, MORTISE_IO, "out of memory");
	}
	for (size_t i = 0; i < listing.count && status == MORTISE_OK; i++)
		if (!listing.entries[i].is_deleted)
			memcpy(log->secrets[log->count++].path, listing.entries[i].path,
				MORTISE_PATH_MAX + 1);
	listing_done(&listing);
	return status;
}

enum mortise_status hygiene_log_collect(
	struct cli *cli, struct progress *progress, struct hygiene_log *log)
{
	struct walk walk = {progress, log, 0};

	TRY(list_secrets(cli, log));
	if (log->count > 0)
		qsort(log->secrets, log->count, sizeof log->secrets[0], compare);
	return audit_walk(cli, take_line, &walk, NULL);
}

void hygiene_log_done(struct hygiene_log *log)
{
	free(log->secrets);
	*log = (struct hygiene_log){0};
}
