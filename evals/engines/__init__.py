"""Engines that draw completions: vLLM, any OpenAI-compatible server, transformers. Each is imported when asked for."""
