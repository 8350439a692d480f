/* SPDX-License-Identifier: ISC */
#include "mortise.h"

const char *mortise_status_text(enum mortise_status status)
{
	static const char *const texts[] = {
		[MORTISE_OK] = "done",
		[MORTISE_INVALID] = "malformed or out of bounds",
		[MORTISE_DENIED] = "denied, or no such secret for you",
		[MORTISE_NOT_FOUND] = "no such secret or version",
		[MORTISE_CONFLICT] = "things are not as the request expects them",
		[MORTISE_SEALED] = "the agent is sealed",
		[MORTISE_BUSY] = "the agent is busy or short of memory; try again",
		[MORTISE_INTEGRITY] = "the store or the log is not what mortise wrote",
		[MORTISE_IO] = "a disk or a socket failed",
		[MORTISE_HARDWARE] = "the TPM or token failed",
		[MORTISE_UNREACHABLE] = "no agent that can be trusted is there",
		[MORTISE_REJECTED] = "a policy or configuration is wrong",
	};

	if ((unsigned)status >= sizeof texts / sizeof texts[0])
		return "unknown status";
	return texts[status];
}
