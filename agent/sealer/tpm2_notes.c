/* SPDX-License-Identifier: ISC */
#include "tpm2_notes.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <tss2/tss2_tpm2_types.h>

/* Handles that no mistake in the file may turn into a persistent key or an NV index. */
static bool is_ours(uint32_t handle)
{
	switch (handle >> TPM2_HR_SHIFT) {
	case TPM2_HT_HMAC_SESSION:
	case TPM2_HT_POLICY_SESSION:
	case TPM2_HT_TRANSIENT:
		return true;
	default:
		return false;
	}
}

static void load(int fd, uint32_t slots[TPM2_NOTES_MAX])
{
	memset(slots, 0, TPM2_NOTES_MAX * sizeof *slots);
	if (pread(fd, slots, TPM2_NOTES_MAX * sizeof *slots, 0) < 0)
		memset(slots, 0, TPM2_NOTES_MAX * sizeof *slots);
}

/* A note that can't be written costs a slot in the TPM at worst: no reason to fail. */
static void store(int fd, size_t slot, uint32_t handle)
{
	ssize_t written = pwrite(fd, &handle, sizeof handle, (off_t)(slot * sizeof handle));

	(void)written;
}

static void replace(int fd, uint32_t old, uint32_t new)
{
	uint32_t slots[TPM2_NOTES_MAX];

	load(fd, slots);
	for (size_t i = 0; i < TPM2_NOTES_MAX; i++) {
		if (slots[i] == old) {
			store(fd, i, new);
			return;
		}
	}
}

void tpm2_notes_add(int fd, uint32_t handle)
{
	if (fd >= 0 && is_ours(handle))
		replace(fd, 0, handle);
}

void tpm2_notes_remove(int fd, uint32_t handle)
{
	if (fd >= 0 && handle != 0)
		replace(fd, handle, 0);
}

size_t tpm2_notes_read(int fd, uint32_t out_handles[TPM2_NOTES_MAX])
{
	uint32_t slots[TPM2_NOTES_MAX];
	size_t count = 0;

	if (fd < 0)
		return 0;
	load(fd, slots);
	for (size_t i = 0; i < TPM2_NOTES_MAX; i++) {
		if (is_ours(slots[i]))
			out_handles[count++] = slots[i];
	}
	return count;
}
