/* SPDX-License-Identifier: ISC */
/*
 * unseal_pin: a PIN on its way to the slot that wants it, and the question for it that systemd's
 * password agents (console, plymouth, systemd-tty-ask-password-agent) put to a person.
 */
#ifndef MORTISE_CLI_UNSEAL_PIN_H
#define MORTISE_CLI_UNSEAL_PIN_H

#include "cli.h"
#include "input.h"

#define UNSEAL_DEADLINE_MS 120000 /* several slots, each as slow as its hardware may be */

/* Unseals with a PIN for slot (0: any), or for slots of a kind (NULL: any). It is tried once. */
enum mortise_status unseal_pin_send(struct cli *cli, const char *kind, uint64_t slot,
	const struct input *pin, struct wire_message *out_reply) MUST_USE;

/*
 * Asks for as long as a slot waits for its PIN, by systemd-ask-password. A PIN that did not open it
 * is said in the next question. After three of them, or a question that somebody turned down, there
 * is none any more: it only waits. So no PIN is ever tried that was not typed. CLI_DONE when no
 * slot waits (any more); *out_changed: it is unsealed, and was by this.
 */
int unseal_pin_by_agents(struct cli *cli, bool *out_changed);

#endif
