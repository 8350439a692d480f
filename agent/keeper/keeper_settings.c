/* SPDX-License-Identifier: ISC */
#include "keeper_settings.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "sealer_link.h"

#define ALL_VERBS (2u * VERB_ADMIN - 1)

static uint32_t read_u32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static enum mortise_status read_entrance(
	const struct wire_message *item, struct entrance *out_entrance)
{
	struct entrance entrance = {.verbs = ALL_VERBS};
	uint64_t verbs = ALL_VERBS;

	TRY(wire_text(item, WIRE_TAG_NAME, entrance.name, sizeof entrance.name));
	entrance.is_main = strcmp(entrance.name, SUBJECT_SOCKET_MAIN) == 0;
	if (wire_has(item, WIRE_TAG_NUMBER) || !entrance.is_main)
		TRY(wire_number(item, WIRE_TAG_NUMBER, &verbs));
	entrance.verbs = (unsigned)verbs & ALL_VERBS;
	*out_entrance = entrance;
	return MORTISE_OK;
}

/* The last listener, if there is one. */
static enum mortise_status read_credentials(
	const struct wire_message *item, struct keeper_settings *settings)
{
	uint64_t kind = 0;

	TRY(wire_number(item, WIRE_TAG_FLAGS, &kind));
	TRY(wire_number(item, WIRE_TAG_NUMBER, &settings->credentials_wait_ms));
	if (kind != PROCESS_FOR_CREDENTIALS || settings->credentials_wait_ms > INT32_MAX)
		return MORTISE_INVALID;
	settings->credentials = settings->descriptors[settings->entrance_count];
	return MORTISE_OK;
}

/* One item for each listening socket. */
static enum mortise_status read_entrances(
	const struct wire_message *frame, struct keeper_settings *settings)
{
	struct wire_list list = wire_list_of(frame, WIRE_TAG_ITEMS);
	struct wire_message item;
	struct wire_field field;

	settings->credentials = -1;
	while (wire_list_next(&list, &field)) {
		if (settings->entrance_count == PROCESS_LISTENERS_MAX || settings->credentials >= 0)
			return MORTISE_INVALID;
		TRY(wire_parse_fields(field.bytes, field.size, &item));
		if (wire_has(&item, WIRE_TAG_FLAGS))
			TRY(read_credentials(&item, settings));
		else
			TRY(read_entrance(&item, &settings->entrances[settings->entrance_count++]));
	}
	size_t listeners = settings->entrance_count + (settings->credentials >= 0);
	if (!wire_list_is_whole(&list) || settings->entrance_count == 0 ||
		listeners != settings->descriptor_count)
		return MORTISE_INVALID;
	return MORTISE_OK;
}

/* What may change while the keeper runs. */
static enum mortise_status read_changeable(
	const struct wire_message *frame, struct keeper_settings *settings)
{
	const struct wire_field *ids = &frame->field[WIRE_TAG_IDS];

	if (frame->code != PROCESS_CONFIGURE || ids->size != PROCESS_IDS * 4)
		return MORTISE_INVALID;
	TRY(wire_number(frame, WIRE_TAG_FLAGS, &settings->flags));
	settings->overdue_ms = SEALER_OVERDUE_MS;
	if (wire_has(frame, WIRE_TAG_NUMBER))
		TRY(wire_number(frame, WIRE_TAG_NUMBER, &settings->overdue_ms));
	settings->anchor_window_s = ANCHOR_WINDOW_S;
	if (wire_has(frame, WIRE_TAG_COUNTER))
		TRY(wire_number(frame, WIRE_TAG_COUNTER, &settings->anchor_window_s));
	if (wire_has(frame, WIRE_TAG_DELETED))
		TRY(wire_number(frame, WIRE_TAG_DELETED, &settings->deleted_keep_s));
	if (settings->overdue_ms > INT32_MAX || settings->anchor_window_s > INT32_MAX ||
		settings->deleted_keep_s > INT32_MAX)
		return MORTISE_INVALID;
	settings->environment[0] = '\0';
	if (wire_has(frame, WIRE_TAG_ENVIRONMENT))
		TRY(wire_text(frame, WIRE_TAG_ENVIRONMENT, settings->environment,
			sizeof settings->environment));
	for (unsigned i = 0; i < PROCESS_IDS; i++)
		settings->ids[i] = read_u32(ids->bytes + 4 * i);
	return MORTISE_OK;
}

static enum mortise_status read_settings(
	const struct wire_message *frame, struct keeper_settings *settings)
{
	TRY(read_changeable(frame, settings));
	TRY(wire_text(frame, WIRE_TAG_STORE, settings->store, sizeof settings->store));
	TRY(wire_text(frame, WIRE_TAG_AUDIT_LOG, settings->audit_log, sizeof settings->audit_log));
	memcpy(settings->audit_directory, settings->audit_log, sizeof settings->audit_log);
	char *slash = strrchr(settings->audit_directory, '/');
	if (!slash || slash == settings->audit_directory)
		return MORTISE_INVALID;
	*slash = '\0';
	return read_entrances(frame, settings);
}

enum mortise_status keeper_settings_again(
	const struct wire_message *frame, struct keeper_settings *settings)
{
	struct keeper_settings fresh = *settings;
	uint64_t fixed = ~(uint64_t)PROCESS_REQUIRE_PIDFD;

	TRY(read_changeable(frame, &fresh));
	fresh.flags = (settings->flags & fixed) | (fresh.flags & ~fixed);
	fresh.ids[PROCESS_ID_AGENT] = settings->ids[PROCESS_ID_AGENT];
	fresh.ids[PROCESS_ID_FIRST] = settings->ids[PROCESS_ID_FIRST];
	*settings = fresh;
	return MORTISE_OK;
}

enum mortise_status keeper_settings_receive(struct keeper_settings *settings)
{
	static uint8_t frame[16384];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(PROCESS_LISTENERS_MAX * sizeof(int))];
	} control;
	struct iovec part = {frame, sizeof frame};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	struct wire_message fields;
	ssize_t size;

	do
		size = recvmsg(PROCESS_FD, &message, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size <= 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return MORTISE_UNREACHABLE;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		settings->descriptor_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(settings->descriptors, CMSG_DATA(header),
			settings->descriptor_count * sizeof(int));
	}
	TRY(wire_parse(frame, (size_t)size, &fields));
	return read_settings(&fields, settings);
}
