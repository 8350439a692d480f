/* SPDX-License-Identifier: ISC */
#include "complete.h"

#include <string.h>

#include "ask.h"
#include "listing.h"

static bool is_folder(const char *path)
{
	size_t size = strlen(path);

	return size > 0 && path[size - 1] == '/';
}

/* A deleted secret can be brought back, or destroyed; else it is in nobody's way. */
static bool is_wanted(const struct command *command, const struct listing_entry *entry)
{
	if (command == &command_undelete)
		return entry->is_deleted;
	return !entry->is_deleted || command == &command_destroy || command == &command_show;
}

static void leave_out(const struct command *command, struct listing *listing)
{
	size_t kept = 0;

	for (size_t i = 0; i < listing->count; i++)
		if (is_wanted(command, &listing->entries[i]))
			listing->entries[kept++] = listing->entries[i];
	listing->count = kept;
}

/* The level below folder, "" or one without its '/'. complete->fixed is where names begin. */
static void offer_below(const struct complete *complete, const char *folder, bool only_folders)
{
	CLEANUP(listing_done) struct listing listing = {0};
	size_t skip = strlen(folder) + (folder[0] != '\0');

	if (listing_collect(complete->cli, folder, &listing) != MORTISE_OK)
		return;
	leave_out(complete->cli->command, &listing);
	listing_fold(&listing, folder);
	listing_settle(&listing);
	for (size_t i = 0; i < listing.count; i++) {
		const char *path = listing.entries[i].path;

		/* The folder may also be a secret; and no agent gets a control character in. */
		if (strlen(path) <= skip || (only_folders && !is_folder(path)) ||
			path[strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789._-/")] != '\0')
			continue;
		complete_offer(complete, path + skip, NULL);
	}
}

static void ask(struct complete *complete, bool only_folders)
{
	const char *typed = complete->word + complete->fixed;
	const char *slash = strrchr(typed, '/');
	char given[MORTISE_PATH_MAX + 1] = "";
	struct ask_path folder;

	if (slash != NULL && (size_t)(slash - typed) < sizeof given)
		memcpy(given, typed, (size_t)(slash - typed));
	if ((slash != NULL && given[0] == '\0') ||
		ask_expand(complete->cli, given, &folder) != CLI_DONE)
		return;
	if (slash != NULL)
		complete->fixed += (size_t)(slash + 1 - typed);
	offer_below(complete, folder.text, only_folders);
}

void complete_paths(const struct complete *complete, bool only_folders)
{
	struct complete below = *complete;
	struct cli *cli = complete->cli;

	if (strcmp(complete->word + complete->fixed, "@") == 0) {
		complete_offer(complete, "@/", "the agent's environment");
		return;
	}
	if (client_new(cli->socket_path, &cli->agent) == MORTISE_OK)
		ask(&below, only_folders);
	mortise_close(cli->agent);
	cli->agent = NULL;
}
