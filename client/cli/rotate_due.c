/* SPDX-License-Identifier: ISC */
/* rotate --due: all that are older than their max-age, one after the other, for a timer. */
#include "rotate_due.h"

#include <stdio.h>
#include <string.h>

#include "listing.h"
#include "output.h"

struct tally {
	json_t *rotated, *failed; /* NULL unless --json */
	unsigned failures, no_hook;
};

static void put(json_t *array, json_t *object)
{
	if (array != NULL && object != NULL)
		(void)json_array_append_new(array, object);
}

static void tell_done(const struct cli *cli, const struct rotation *rotation, struct tally *tally)
{
	put(tally->rotated, tally->rotated == NULL
				    ? NULL
				    : json_pack("{s:s, s:o}", "path", rotation->path.text,
					      "version", output_json_number(rotation->version)));
	if (cli->is_json)
		return;
	if (cli->is_dry_run)
		printf("%s: would be rotated\n", rotation->path.text);
	else
		printf("%s: version %llu\n", rotation->path.text,
			(unsigned long long)rotation->version);
	(void)fflush(stdout);
}

/* Of who may not rotate it a secret is none of his business, due or not. */
static void tell_failure(const struct rotation *rotation, struct tally *tally)
{
	if (rotation->status == MORTISE_DENIED && rotation->step == NULL)
		return;
	if (rotation->status == MORTISE_REJECTED && !rotation->has_hook) {
		tally->no_hook++;
		return;
	}
	tally->failures++;
	if (rotation->step != NULL)
		output_note("%s: step %s: %s", rotation->path.text, rotation->step, rotation->text);
	else
		output_note("%s: %s", rotation->path.text, rotation->text);
	if (tally->failed != NULL)
		put(tally->failed, json_pack("{s:s, s:s?, s:s}", "path", rotation->path.text,
					   "step", rotation->step, "message", rotation->text));
}

/* 0, or the signal that ends it. */
static int rotate_all(struct cli *cli, const struct listing *listing,
	const struct generate *generate, struct tally *tally)
{
	for (size_t i = 0; i < listing->count; i++) {
		const struct listing_entry *entry = &listing->entries[i];
		struct rotation rotation = {.generate = generate};

		if (entry->is_deleted || entry->due_us == 0 || entry->due_us > listing->now_us)
			continue;
		memcpy(rotation.path.text, entry->path, sizeof rotation.path.text);
		if (rotation_run(cli, &rotation))
			tell_done(cli, &rotation, tally);
		else
			tell_failure(&rotation, tally);
		if (rotation.signal != 0)
			return rotation.signal;
	}
	return 0;
}

int rotate_due(struct cli *cli, const struct generate *generate)
{
	struct listing listing = {0};
	struct tally tally = {0};
	enum mortise_status status = listing_collect(cli, "", &listing);
	int signal = 0, ending;

	if (status == MORTISE_OK && listing.count == 0)
		output_note(
			"there is no secret that you may list; what is to be rotated here needs "
			"a rule with: allow = list rotate");
	if (status != MORTISE_OK) {
		listing_done(&listing);
		return ask_fail(cli, status, NULL);
	}
	if (cli->is_json) {
		tally.rotated = json_array();
		tally.failed = json_array();
	}
	signal = rotate_all(cli, &listing, generate, &tally);
	listing_done(&listing);
	if (tally.no_hook > 0)
		output_note("due, but without a hook: %u; see: mortise list --due", tally.no_hook);
	ending = tally.failures > 0 ? CLI_FOUND : CLI_DONE;
	if (cli->is_json && output_json(json_pack("{s:b, s:b, s:o, s:o}", "changed",
				    json_array_size(tally.rotated) > 0 && !cli->is_dry_run,
				    "dry_run", cli->is_dry_run, "rotated", tally.rotated, "failed",
				    tally.failed)) != CLI_DONE)
		return CLI_IO;
	cli->ends_by = signal;
	return signal != 0 ? 128 + signal : ending;
}
