"""A reward over HTTP (`rlvr serve`): our own API, and the remote reward protocols of OpenRLHF and slime."""
