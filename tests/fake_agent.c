/* SPDX-License-Identifier: ISC */
#include "fake_agent.h"
#include "mortise_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void serve_frame(struct fake_agent *fake, int link)
{
	static uint8_t in[WIRE_FRAME_MAX], out[WIRE_FRAME_MAX];
	ssize_t got = recv(fake->links[link], in, sizeof in, 0);
	struct wire_message request;
	struct wire_writer writer;
	enum deed deed = CLOSE;
	size_t size;

	if (got > 0 && wire_parse(in, (size_t)got, &request) == MORTISE_OK) {
		wire_begin(&writer, out, sizeof out, MORTISE_OK, request.request_id);
		fake->link = link;
		deed = fake->answer(
			fake, atomic_fetch_add(&fake->frames, 1) + 1, &request, &writer);
	}
	if (deed == REPLY) {
		size = wire_finish(&writer);
		(void)send(fake->links[link], out, size, MSG_NOSIGNAL);
	} else if (deed == CLOSE) {
		(void)close(fake->links[link]);
		fake->links[link] = -1;
	}
}

static void accept_one(struct fake_agent *fake)
{
	int fd = accept(fake->listener, NULL, NULL);

	for (int i = 0; i < LINKS_MAX; i++)
		if (fake->links[i] < 0) {
			fake->links[i] = fd;
			fake->is_known[i] = false;
			atomic_fetch_add(&fake->connections, 1);
			return;
		}
	(void)close(fd);
}

static void *serve(void *argument)
{
	struct fake_agent *fake = argument;

	for (;;) {
		struct pollfd entries[LINKS_MAX + 2] = {
			{.fd = fake->stop[0], .events = POLLIN},
			{.fd = fake->listener, .events = POLLIN},
		};

		for (int i = 0; i < LINKS_MAX; i++)
			entries[i + 2] = (struct pollfd){.fd = fake->links[i], .events = POLLIN};
		(void)poll(entries, LINKS_MAX + 2, -1);
		if (entries[0].revents != 0)
			return NULL;
		for (int i = 0; i < LINKS_MAX; i++)
			if (entries[i + 2].revents != 0)
				serve_frame(fake, i);
		if (entries[1].revents != 0)
			accept_one(fake);
	}
}

void fake_agent_listen(struct fake_agent *fake)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, fake->path, sizeof fake->path);
	fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(fake->listener, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fake->listener, 8), 0);
	assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
}

int fake_agent_start(void **state)
{
	struct fake_agent *fake = calloc(1, sizeof *fake);

	if (fake == NULL)
		return -1;
	(void)snprintf(fake->directory, sizeof fake->directory, "/tmp/mortise-client-XXXXXX");
	if (mkdtemp(fake->directory) == NULL || pipe(fake->stop) != 0)
		return -1;
	(void)snprintf(fake->path, sizeof fake->path, "%s/sock", fake->directory);
	for (int i = 0; i < LINKS_MAX; i++)
		fake->links[i] = -1;
	fake->listener = -1;
	*state = fake;
	return 0;
}

int fake_agent_stop(void **state)
{
	struct fake_agent *fake = *state;

	if (fake->listener >= 0) {
		(void)!write(fake->stop[1], "", 1);
		(void)pthread_join(fake->thread, NULL);
		(void)close(fake->listener);
	}
	for (int i = 0; i < LINKS_MAX; i++)
		if (fake->links[i] >= 0)
			(void)close(fake->links[i]);
	(void)close(fake->stop[0]);
	(void)close(fake->stop[1]);
	(void)unlink(fake->path);
	(void)rmdir(fake->directory);
	free(fake);
	return 0;
}

void fake_agent_put_item(struct wire_writer *writer, enum mortise_status status, const char *value)
{
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS), item = wire_item_begin(writer);

	if (status == MORTISE_OK) {
		wire_put_number(writer, WIRE_TAG_VERSION, 3);
		wire_put_text(writer, WIRE_TAG_VALUE, value);
	}
	wire_put_number(writer, WIRE_TAG_STATUS, status);
	wire_item_end(writer, item);
	wire_list_end(writer, list);
}

enum deed fake_agent_give(struct fake_agent *fake, int count, const struct wire_message *request,
	struct wire_writer *writer)
{
	(void)fake;
	(void)count;
	(void)request;
	fake_agent_put_item(writer, MORTISE_OK, SECRET_BYTES);
	return REPLY;
}

struct mortise *fake_agent_open(struct fake_agent *fake)
{
	struct mortise *agent;

	fake_agent_listen(fake);
	assert_int_equal(mortise_open(fake->path, &agent), MORTISE_OK);
	return agent;
}

enum mortise_status fake_agent_get(struct mortise *agent, char value[64])
{
	size_t size = 0;
	enum mortise_status status = mortise_get(agent, "prod/db/password", value, 63, &size);

	value[status == MORTISE_OK ? size : 0] = '\0';
	return status;
}
