/* SPDX-License-Identifier: ISC */
/*
 * fake_agent: an agent for tests of the client, as a thread of the test; each test says how
 * frames are answered. One at a time.
 */
#ifndef MORTISE_FAKE_AGENT_H
#define MORTISE_FAKE_AGENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "client.h"

#define LINKS_MAX    8
#define SECRET_BYTES "canary-value"

enum deed { REPLY, CLOSE, SILENCE };

struct fake_agent {
	char directory[64], path[96];
	int listener, stop[2], links[LINKS_MAX];
	pthread_t thread;
	atomic_int connections, frames;
	int link;                 /* of the frame that is answered now */
	bool is_known[LINKS_MAX]; /* for answers that greet: false on a new connection */
	int items;                /* for an answer that wants to know how many to give */
	uint8_t first_token[WIRE_TOKEN_SIZE];
	/* What to do with the frame that is number count, from 1. */
	enum deed (*answer)(struct fake_agent *fake, int count, const struct wire_message *request,
		struct wire_writer *writer);
};

/* A setup that makes a private directory, and the teardown that ends the thread. */
int fake_agent_start(void **state);
int fake_agent_stop(void **state);
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_agent_start, fake_agent_stop)

/* Begins to serve; fake_agent_open() connects to it as well. */
void fake_agent_listen(struct fake_agent *fake);
struct mortise *fake_agent_open(struct fake_agent *fake);

/* The reply to a get of one path: its value, or why there is none. */
void fake_agent_put_item(struct wire_writer *writer, enum mortise_status status, const char *value);

/* An answer: the value SECRET_BYTES. */
enum deed fake_agent_give(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer);

/* Gets a secret as a text; "" without one. */
enum mortise_status fake_agent_get(struct mortise *agent, char value[64]);

#endif
