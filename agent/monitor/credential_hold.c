/* SPDX-License-Identifier: ISC */
#include "credential_hold.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REFUSAL_BYTES      (2 * 1024 * 1024) /* systemd stops at 1 MiB, encrypted a little later */
#define SEND_ROOM          262144            /* a value leaves in one piece */
#define UNREAD_OF_ONE_USER 4                 /* not fewer than a keeper holds at once */

struct place {
	struct credential_hold *owner;
	int descriptor;  /* -1: a free place */
	uint64_t number; /* 0: its refusal is under way, and only then are there events */
	uint32_t uid;
	uint64_t refusal; /* the how-manieth */
	size_t sent;
	struct event writable, deadline;
};

struct credential_hold {
	struct event_base *base;
	int unread_ms;
	void (*emptied)(void *context);
	void *context;
	uint64_t last_number, last_refusal;
	size_t count;
	struct place places[CREDENTIAL_HELD_MAX];
};

static const uint8_t zeros[65536];

static struct timeval after_ms(int ms)
{
	return (struct timeval){ms / 1000, ms % 1000 * 1000};
}

static bool is_refused(const struct place *place)
{
	return place->descriptor >= 0 && place->number == 0;
}

static void leave(struct place *place)
{
	struct credential_hold *hold = place->owner;

	if (is_refused(place)) {
		event_del(&place->writable);
		event_del(&place->deadline);
	}
	close(place->descriptor);
	place->descriptor = -1;
	if (--hold->count == 0)
		hold->emptied(hold->context);
}

/* False at its end: all is sent, or the peer is gone, as systemd is when it has had enough. */
static bool send_zeros(struct place *place)
{
	while (place->sent < REFUSAL_BYTES) {
		ssize_t sent =
			send(place->descriptor, zeros, sizeof zeros, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		place->sent += (size_t)sent;
	}
	return false;
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct place *place = context;

	(void)fd;
	if ((what & EV_TIMEOUT) || !send_zeros(place))
		leave(place);
}

/*
 * What a user's own manager has lying about unread is that user's affair: beyond so many the eldest
 * goes. Nobody else's does, whatever there is: cut, a refusal may be taken for a credential.
 */
static void drop_eldest(struct credential_hold *hold, uint32_t uid)
{
	struct place *eldest = NULL;
	size_t own = 0;

	for (size_t i = 0; uid != 0 && i < CREDENTIAL_HELD_MAX; i++) {
		struct place *place = &hold->places[i];

		if (!is_refused(place) || place->uid != uid)
			continue;
		own++;
		if (!eldest || place->refusal < eldest->refusal)
			eldest = place;
	}
	if (own >= UNREAD_OF_ONE_USER)
		leave(eldest);
}

static void refuse(struct place *place)
{
	struct credential_hold *hold = place->owner;
	const struct timeval limit = after_ms(hold->unread_ms);

	drop_eldest(hold, place->uid);
	place->number = 0;
	place->refusal = ++hold->last_refusal;
	(void)event_assign(&place->writable, hold->base, place->descriptor, EV_WRITE | EV_PERSIST,
		on_writable, place);
	(void)evtimer_assign(&place->deadline, hold->base, on_writable, place);
	if (!send_zeros(place) || event_add(&place->writable, NULL) != 0 ||
		event_add(&place->deadline, &limit) != 0)
		leave(place);
}

static struct place *find_free(struct credential_hold *hold)
{
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX; i++)
		if (hold->places[i].descriptor < 0)
			return &hold->places[i];
	return NULL;
}

static uint32_t uid_of(int descriptor)
{
	struct ucred peer = {.uid = UINT32_MAX};
	socklen_t size = sizeof peer;

	if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return UINT32_MAX;
	return peer.uid;
}

/* Whoever has left the queue has a place: nothing in between can fail. */
enum mortise_status credential_hold_accept(
	struct credential_hold *hold, int listener, uint64_t *out_number, int *out_descriptor)
{
	struct place *place = find_free(hold);
	const int room = SEND_ROOM;

	if (!place)
		return MORTISE_BUSY;
	int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (descriptor < 0)
		return errno == EAGAIN ? MORTISE_NOT_FOUND : MORTISE_BUSY;
	(void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	*place = (struct place){.owner = hold,
		.descriptor = descriptor,
		.number = ++hold->last_number,
		.uid = uid_of(descriptor)};
	hold->count++;
	*out_number = place->number;
	*out_descriptor = descriptor;
	return MORTISE_OK;
}

static struct place *find(struct credential_hold *hold, uint64_t number)
{
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX; i++) {
		struct place *place = &hold->places[i];

		if (place->descriptor >= 0 && place->number != 0 && place->number == number)
			return place;
	}
	return NULL;
}

enum mortise_status credential_hold_release(
	struct credential_hold *hold, uint64_t number, bool is_delivered)
{
	struct place *place = find(hold, number);

	if (!place)
		return MORTISE_NOT_FOUND;
	if (is_delivered)
		leave(place);
	else
		refuse(place);
	return MORTISE_OK;
}

size_t credential_hold_refuse_all(struct credential_hold *hold)
{
	size_t count = 0;

	for (size_t i = 0; i < CREDENTIAL_HELD_MAX; i++) {
		if (hold->places[i].descriptor < 0 || is_refused(&hold->places[i]))
			continue;
		refuse(&hold->places[i]);
		count++;
	}
	return count;
}

void credential_hold_hurry(struct credential_hold *hold, int within_ms)
{
	const struct timeval limit = after_ms(within_ms);

	(void)credential_hold_refuse_all(hold);
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX; i++)
		if (is_refused(&hold->places[i]) &&
			event_add(&hold->places[i].deadline, &limit) != 0)
			leave(&hold->places[i]);
}

bool credential_hold_is_empty(const struct credential_hold *hold)
{
	return hold->count == 0;
}

enum mortise_status credential_hold_new(struct event_base *base, int unread_ms,
	void (*emptied)(void *context), void *context, struct credential_hold **out_hold)
{
	struct credential_hold *hold = calloc(1, sizeof *hold);

	if (!hold)
		return MORTISE_BUSY;
	hold->base = base;
	hold->unread_ms = unread_ms;
	hold->emptied = emptied;
	hold->context = context;
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX; i++)
		hold->places[i].descriptor = -1;
	*out_hold = hold;
	return MORTISE_OK;
}

void credential_hold_free(struct credential_hold *hold)
{
	if (!hold)
		return;
	for (size_t i = 0; i < CREDENTIAL_HELD_MAX; i++)
		if (hold->places[i].descriptor >= 0)
			leave(&hold->places[i]);
	free(hold);
}
