/* SPDX-License-Identifier: ISC */
/* policy apply: files to the agent, which reads and judges them; here they are only bytes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "output.h"

#define POLICY_DIRECTORY "/etc/mortise/policy.d"
#define POLICY_ENDING    ".policy"

static int fail_errno(const struct cli *cli, const char *name)
{
	return output_fail(cli, MORTISE_IO, "cannot read %s: %s", name, strerror(errno));
}

static enum mortise_status stage_chunk(
	struct cli *cli, const char *name, const uint8_t *chunk, size_t size, uint64_t offset)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_POLICY_STAGE);
	struct wire_message reply;

	wire_put_text(writer, WIRE_TAG_NAME, name);
	wire_put(writer, WIRE_TAG_CHUNK, chunk, size);
	wire_put_number(writer, WIRE_TAG_OFFSET, offset);
	return client_call(cli->agent, &reply);
}

/* An empty file is staged too: it is part of the policy that is shown. */
static int stage(struct cli *cli, int fd, const char *name)
{
	static uint8_t chunk[WIRE_CHUNK_MAX];
	enum mortise_status status;
	uint64_t offset = 0;

	for (;;) {
		ssize_t got = read(fd, chunk, sizeof chunk);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(cli, name);
		if (got == 0 && offset > 0)
			return CLI_DONE;
		status = stage_chunk(cli, name, chunk, (size_t)got, offset);
		if (status != MORTISE_OK)
			return ask_fail(cli, status, NULL);
		if (got == 0)
			return CLI_DONE;
		offset += (uint64_t)got;
	}
}

static int stage_file(struct cli *cli, int directory, const char *path, const char *name)
{
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int ending;

	if (fd < 0)
		return fail_errno(cli, path);
	ending = stage(cli, fd, name);
	(void)close(fd);
	return ending;
}

static bool is_policy_name(const char *name)
{
	size_t size = strlen(name), ending_size = strlen(POLICY_ENDING);

	return name[0] != '.' && size > ending_size &&
	       strcmp(name + size - ending_size, POLICY_ENDING) == 0;
}

static int order(const struct dirent **one, const struct dirent **other)
{
	return strcmp((*one)->d_name, (*other)->d_name);
}

static int stage_entries(
	struct cli *cli, int directory, const char *path, struct dirent **entries, int count)
{
	int staged = 0;

	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		int ending;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (!is_policy_name(name)) {
			output_note("ignored %s/%s: its name does not end with %s", path, name,
				POLICY_ENDING);
			continue;
		}
		ending = stage_file(cli, directory, name, name);
		if (ending != CLI_DONE)
			return ending;
		staged++;
	}
	if (staged == 0)
		return output_fail(cli, MORTISE_REJECTED, "%s has no file *%s; nothing was applied",
			path, POLICY_ENDING);
	return CLI_DONE;
}

static int stage_directory(struct cli *cli, int directory, const char *path)
{
	struct dirent **entries = NULL;
	int count = scandirat(directory, ".", &entries, NULL, order);
	int ending;

	if (count < 0)
		return fail_errno(cli, path);
	ending = stage_entries(cli, directory, path, entries, count);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	return ending;
}

static int stage_all(struct cli *cli, const char *path)
{
	const char *slash = strrchr(path, '/');
	int directory, ending;

	if (strcmp(path, "-") == 0)
		return stage(cli, STDIN_FILENO, "standard-input");
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 && errno == ENOTDIR)
		return stage_file(cli, AT_FDCWD, path, slash != NULL ? slash + 1 : path);
	if (directory < 0)
		return fail_errno(cli, path);
	ending = stage_directory(cli, directory, path);
	(void)close(directory);
	return ending;
}

static enum mortise_status request_apply(struct cli *cli, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_POLICY_APPLY);

	TRY(client_put_token(cli->agent));
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	return client_call(cli->agent, out_reply);
}

static int report_apply(const struct cli *cli, const struct wire_message *reply)
{
	bool is_changed = ask_flag(reply, WIRE_TAG_CHANGED);
	uint64_t version = ask_number(reply, WIRE_TAG_VERSION, 0);
	uint64_t rules = ask_number(reply, WIRE_TAG_NUMBER, 0);
	char text[WIRE_TEXT_MAX] = "";

	if (wire_text(reply, WIRE_TAG_TEXT, text, sizeof text) == MORTISE_OK && text[0] != '\0')
		output_note("%s", text);
	if (cli->is_json)
		return output_json(json_pack("{s:o, s:o, s:b, s:b}", "version",
			output_json_number(version), "rules", output_json_number(rules), "changed",
			is_changed, "dry_run", cli->is_dry_run));
	printf("policy: %sversion %llu, %llu rules%s\n", cli->is_dry_run ? "would be " : "",
		(unsigned long long)version, (unsigned long long)rules,
		is_changed ? "" : ", unchanged");
	return CLI_DONE;
}

/* What is staged is the connection's own: half of it on another one would be half a policy. */
static int apply(struct cli *cli)
{
	enum mortise_status status = client_pin(cli->agent);
	struct wire_message reply;
	int ending;

	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	ending = stage_all(cli, cli->operand_count == 1 ? cli->operands[0] : POLICY_DIRECTORY);
	if (ending != CLI_DONE)
		return ending;
	status = request_apply(cli, &reply);
	return status == MORTISE_OK ? report_apply(cli, &reply) : ask_fail(cli, status, NULL);
}

const struct command command_policy_apply = {
	.name = "policy apply",
	.operands = "[FILE|DIRECTORY|-]",
	.summary = "make files the policy, all or nothing",
	.most = 1,
	.changes_something = true,
	.verb = "admin",
	.notes = "Of a directory (" POLICY_DIRECTORY " without an operand) the files *.policy are\n"
		 "applied, in the order of their names.",
	.examples = "  mortise policy apply --dry-run\n"
		    "  mortise policy apply site.policy",
	.run = apply,
};
