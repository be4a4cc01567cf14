//! How a conversation is put to a model: with the marks that it was trained with.

use super::tokens::Tokens;
use crate::prompt::{Role, Turn};
use serde::Deserialize;

/// The marks around turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// `<|start_header_id|>user<|end_header_id|>`, as Llama 3 has them.
    Llama3,
    /// `<|im_start|>user`, as Qwen and many others have them.
    ChatMl,
    /// None: a single turn is what the model goes on from, and of several each has a line.
    Plain,
}

/// A part of a prompt.
enum Piece<'a> {
    /// A token that text can't make.
    Mark(&'a str),
    Text(String),
}

fn speaker(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

impl Template {
    /// The one whose marks the tokenizer has.
    pub(crate) fn detect(tokens: &Tokens) -> Template {
        let has = |names: &[&str]| names.iter().all(|name| tokens.id(name).is_some());
        match () {
            () if has(&["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]) => Template::Llama3,
            () if has(&["<|im_start|>", "<|im_end|>"]) => Template::ChatMl,
            () => Template::Plain,
        }
    }

    /// Names of tokens that end an answer.
    pub(crate) fn ends() -> &'static [&'static str] {
        &["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "</s>"]
    }

    /// Texts that end an answer.
    pub(crate) fn stops(self, turns: &[Turn]) -> &'static [&'static str] {
        match self {
            Template::Plain if turns.len() > 1 => &["\nUser:", "\nSystem:", "\nTool:"],
            _ => &[],
        }
    }

    /// The tokens of a conversation, up to where the model begins to write; none if the tokenizer can't.
    pub(crate) fn encode(self, tokens: &Tokens, turns: &[Turn]) -> Option<Vec<u32>> {
        let mut ids: Vec<u32> = tokens.bos.into_iter().collect();
        for piece in self.pieces(turns) {
            match piece {
                Piece::Mark(name) => ids.push(tokens.id(name)?),
                Piece::Text(text) => ids.extend(tokens.encode(&text)?),
            }
        }
        Some(ids)
    }

    fn pieces(self, turns: &[Turn]) -> Vec<Piece<'static>> {
        let mut out = Vec::new();
        match self {
            Template::Llama3 => {
                let header = |role: &str, out: &mut Vec<Piece<'static>>| {
                    out.push(Piece::Mark("<|start_header_id|>"));
                    out.push(Piece::Text(role.to_owned()));
                    out.push(Piece::Mark("<|end_header_id|>"));
                };
                for turn in turns {
                    // What a tool says is `ipython` to this family.
                    header(if turn.role == Role::Tool { "ipython" } else { speaker(turn.role) }, &mut out);
                    out.push(Piece::Text(format!("\n\n{}", turn.content.trim())));
                    out.push(Piece::Mark("<|eot_id|>"));
                }
                header("assistant", &mut out);
                out.push(Piece::Text("\n\n".to_owned()));
            }
            Template::ChatMl => {
                for turn in turns {
                    out.push(Piece::Mark("<|im_start|>"));
                    out.push(Piece::Text(format!("{}\n{}", speaker(turn.role), turn.content)));
                    out.push(Piece::Mark("<|im_end|>"));
                    out.push(Piece::Text("\n".to_owned()));
                }
                out.push(Piece::Mark("<|im_start|>"));
                out.push(Piece::Text("assistant\n".to_owned()));
            }
            Template::Plain => out.push(Piece::Text(plain(turns))),
        }
        out
    }
}

fn plain(turns: &[Turn]) -> String {
    if let [turn] = turns {
        return turn.content.clone();
    }
    let mut text = String::new();
    for turn in turns {
        let name = match turn.role {
            Role::System => "System",
            Role::User => "User",
            Role::Assistant => "Assistant",
            Role::Tool => "Tool",
        };
        text.push_str(&format!("{name}: {}\n", turn.content));
    }
    text + "Assistant:"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(template: Template, turns: &[Turn]) -> String {
        let text = |piece| match piece {
            Piece::Mark(name) => name.to_owned(),
            Piece::Text(text) => text,
        };
        template.pieces(turns).into_iter().map(text).collect()
    }

    #[test]
    fn conversations_are_put_as_the_models_were_taught() {
        let turns = [
            Turn::new(Role::System, "Be brief."),
            Turn::new(Role::User, "Hi!"),
            Turn::new(Role::Assistant, "Ho."),
            Turn::new(Role::User, "Well?"),
        ];
        // As the two families' own templates write it, but for the date that Llama's puts before.
        assert_eq!(
            put(Template::Llama3, &turns),
            "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nHi!<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\nHo.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nWell?<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n"
        );
        assert_eq!(
            put(Template::ChatMl, &turns),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi!<|im_end|>\n\
             <|im_start|>assistant\nHo.<|im_end|>\n<|im_start|>user\nWell?<|im_end|>\n<|im_start|>assistant\n"
        );
        assert_eq!(
            put(Template::Plain, &turns),
            "System: Be brief.\nUser: Hi!\nAssistant: Ho.\nUser: Well?\nAssistant:"
        );
        assert_eq!(put(Template::Plain, &turns[1..2]), "Hi!");
    }
}
