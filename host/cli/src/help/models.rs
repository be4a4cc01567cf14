//! What teaches about models.

pub(crate) const MODELS: &str = "\
Examples:
  village models list                                all that agents may be granted, with price, latency and health
  village models route 'Sum up this text: …'         which would answer, and which if that one fails
  village models route --explain --policy cost 'Hi'  the same, with what was thought of each
  village models route --explain --private 'Hi'      only what stays on this machine
  village models bench                               first token and tokens a second of those that cost nothing
  village models bench 'cloud/claude-*'              of these, which may cost money

The back ends stand in village.toml:
  [models.ollama]                                    http://127.0.0.1:11434, unless `url` says another

  [models.claude]
  key = \"ANTHROPIC_API_KEY\"                          a name in the environment, or of `village secret set`

  [models.embedded]                                  in this process, with nothing else installed
  files = { tiny = \"./tiny.gguf\" }

A model on this machine is called local/NAME, any other cloud/NAME; an agent may use those that its grants cover
(`model = [\"local/*\"]`). `route` gives the prompt to nobody. `bench` beside a model in this process says how many tokens a second
the memory would allow: each token reads all weights once. Prices are for a million tokens, in the money of village.toml.";
