/* SPDX-License-Identifier: ISC */
#include "turn.h"

bool turn_has_group(const struct agent *agent)
{
	const struct vault *vault = lifecycle_vault(agent->lifecycle);

	return vault && vault_has_group(vault);
}

bool turn_must_end(const struct agent *agent, uint16_t opcode)
{
	return turn_has_group(agent) != (opcode == WIRE_SET);
}

enum mortise_status turn_end(struct agent *agent, const char **out_text)
{
	*out_text = "";
	if (turn_has_group(agent)) {
		enum mortise_status status = vault_end_group(lifecycle_vault(agent->lifecycle));
		owed_settle(&agent->owed, agent->audit, status);
		/* The lines are tried all the same, and say what came of it. */
		if (status != MORTISE_OK) {
			(void)!owed_flush(&agent->owed, agent->audit);
			return status;
		}
	}
	*out_text = "the audit log can't be written, so nothing is released; free some space";
	return owed_flush(&agent->owed, agent->audit);
}
