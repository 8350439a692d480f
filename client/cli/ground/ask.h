/* SPDX-License-Identifier: ISC */
/*
 * ask: what commands have in common when they talk to the agent: paths as they are typed,
 * facts, and errors in words that say what to do next.
 */
#ifndef MORTISE_CLI_ASK_H
#define MORTISE_CLI_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli.h"

/* Who runs this command, in the words of a rule, for the text of a denial. */

struct caller {
	char user[64];  /* the name, or the number of one without */
	char text[256]; /* "backup, uid 34, unit cron.service" */
	bool is_nobody; /* it is the id that stands for anyone from another user namespace */
};

struct caller caller_find(void);

/* The systemd unit in the text of /proc/PID/cgroup; "" if there is none. */
void caller_unit(const char *cgroup, char *out_unit, size_t unit_size);

struct ask_path {
	char text[MORTISE_PATH_MAX + 2]; /* one too long is sent, so that the agent refuses it */
};

/*
 * Prints the error of the last call. subject is the path or thing it was about, or NULL.
 * Someone denied reads the same whether the secret exists or not; the hint is made of what the
 * agent then says about the caller (WHOAMI), so the reply of before is gone.
 */
int ask_fail(const struct cli *cli, enum mortise_status status, const char *subject);
/* The error of a reply that is none of ours. */
extern const char ask_malformed[];
int ask_fail_malformed(const struct cli *cli);

/*
 * The path as the agent knows it: "@/db" is below the configured environment. Asks the agent
 * for that, so it comes before client_begin(). CLI_DONE, or an exit status after the error.
 */
int ask_expand(struct cli *cli, const char *given, struct ask_path *out_path);

/* A number of the reply, or fallback if it has none. */
uint64_t ask_number(const struct wire_message *reply, unsigned tag, uint64_t fallback);
bool ask_flag(const struct wire_message *reply, unsigned tag);

/* The next item of a list that is a run of fields; false at its end or at a malformed one. */
bool ask_next(struct wire_list *list, struct wire_message *out_item);

/* The text of a fact of the agent's STATUS. MORTISE_NOT_FOUND if it does not tell. */
enum mortise_status ask_fact(struct cli *cli, const char *name, char *buffer, size_t buffer_size)
	MUST_USE;

/* Prints facts, a line each, or puts them into a JSON object. False if they are malformed. */
bool ask_print_facts(struct wire_list facts);
bool ask_put_facts(struct wire_list facts, json_t *object);

#endif
