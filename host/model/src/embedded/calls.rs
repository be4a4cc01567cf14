//! Tools, as models are told of them, and the calls that they write: each family has its own way.

use super::guide::{Form, Refusal};
use super::template::Template;
use crate::backend::Reader;
use crate::prompt::{Call, Prompt, Role, Tool, Turn};
use serde_json::{Value, json};

/// How a family of models calls tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `<tool_call>` and JSON, as Qwen and Hermes have it; others are told to do the same.
    Marked,
    /// JSON alone, as Llama 3 has it.
    Bare,
}

impl Style {
    pub(crate) fn of(template: Template) -> Style {
        match template {
            Template::Llama3 => Style::Bare,
            Template::ChatMl | Template::Plain => Style::Marked,
        }
    }

    /// What stands before a call's name, before its arguments, behind it, and between two.
    fn parts(self) -> [&'static str; 4] {
        match self {
            Style::Marked => ["<tool_call>\n{\"name\": ", ", \"arguments\": ", "}\n</tool_call>", "\n"],
            Style::Bare => ["{\"name\": ", ", \"parameters\": ", "}", "; "],
        }
    }

    /// The form of an answer by a model with these tools.
    pub(crate) fn form(self, tools: &[Tool], schema: Option<&str>) -> Result<Form, Refusal> {
        let named: Vec<_> = tools.iter().map(|tool| (tool.name.clone(), tool.parameters.clone())).collect();
        Form::of_calls(&named, self.parts(), schema)
    }

    /// The turns of a prompt, with its tools told and its calls written out.
    pub(crate) fn turns(self, prompt: &Prompt) -> Vec<Turn> {
        let mut turns: Vec<Turn> = prompt.turns.iter().map(|turn| self.written(turn)).collect();
        if prompt.tools.is_empty() {
            return turns;
        }
        let told = self.told(&prompt.tools);
        match self {
            Style::Marked => match turns.first_mut().filter(|turn| turn.role == Role::System) {
                Some(turn) => turn.content = format!("{}\n\n{told}", turn.content),
                None => turns.insert(0, Turn::new(Role::System, told)),
            },
            Style::Bare => {
                if let Some(turn) = turns.iter_mut().find(|turn| turn.role == Role::User) {
                    turn.content = format!("{told}\n\n{}", turn.content);
                }
            }
        }
        turns
    }

    fn told(self, tools: &[Tool]) -> String {
        let one = |tool: &Tool| {
            let parameters: Value = serde_json::from_str(&tool.parameters).unwrap_or_default();
            let function = json!({"name": tool.name, "description": tool.description, "parameters": parameters});
            json!({"type": "function", "function": function}).to_string()
        };
        let list = tools.iter().map(one).collect::<Vec<_>>().join("\n");
        match self {
            Style::Marked => format!(
                "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with \
                 function signatures within <tools></tools> XML tags:\n<tools>\n{list}\n</tools>\n\nFor each function \
                 call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n\
                 <tool_call>\n{{\"name\": <function-name>, \"arguments\": <args-json-object>}}\n</tool_call>"
            ),
            Style::Bare => format!(
                "Given the following functions, please respond with a JSON for a function call with its proper \
                 arguments that best answers the given prompt.\n\nRespond in the format {{\"name\": function name, \
                 \"parameters\": dictionary of argument name and its value}}. Do not use variables.\n\n{list}"
            ),
        }
    }

    /// A turn as it reads to the model.
    fn written(self, turn: &Turn) -> Turn {
        let [before, between, behind, next] = self.parts();
        let mut content = turn.content.clone();
        if turn.role == Role::Tool && self == Style::Marked {
            content = format!("<tool_response>\n{content}\n</tool_response>");
        }
        let call =
            |call: &Call| format!("{before}{}{between}{}{behind}", Value::from(call.name.as_str()), call.arguments);
        let calls: Vec<String> = turn.calls.iter().map(call).collect();
        if !calls.is_empty() {
            content =
                [content, calls.join(next)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
        }
        Turn::new(turn.role, content)
    }

    /// The calls of which a text is made; none if it is made of anything else.
    fn read(self, mut text: &str, made: usize) -> Option<Vec<Call>> {
        let [before, between, behind, next] = self.parts();
        let mut calls = Vec::new();
        while !text.is_empty() {
            let name: Value = head(&mut text, before)?;
            let arguments: Value = head(&mut text, between)?;
            text = text.strip_prefix(behind)?;
            text = text.strip_prefix(next).unwrap_or(text);
            let id = format!("call-{}", made + calls.len() + 1);
            calls.push(Call { id, name: name.as_str()?.to_owned(), arguments: arguments.to_string() });
        }
        (!calls.is_empty()).then_some(calls)
    }
}

/// The value behind a mark at the begin of a text, which goes on after it.
fn head(text: &mut &str, mark: &str) -> Option<Value> {
    let rest = text.strip_prefix(mark)?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter();
    let value = values.next()?.ok()?;
    *text = &rest[values.byte_offset()..];
    Some(value)
}

/// Listens to a model that may call tools: its text is told, and its calls are kept until they are whole.
pub(crate) struct Listener<'a> {
    style: Style,
    prompt: &'a Prompt,
    reader: &'a mut dyn Reader,
    /// What calls begin with; empty if there are none.
    mark: String,
    text: String,
    /// What may be the begin of a call.
    held: String,
    /// The calls, once they have begun.
    calls: Option<String>,
}

impl<'a> Listener<'a> {
    pub(crate) fn new(style: Style, prompt: &'a Prompt, reader: &'a mut dyn Reader) -> Listener<'a> {
        let mark = if prompt.tools.is_empty() { String::new() } else { format!("{}\"", style.parts()[0]) };
        Listener { style, prompt, reader, mark, text: String::new(), held: String::new(), calls: None }
    }

    pub(crate) fn text(&mut self, more: &str) {
        if let Some(calls) = &mut self.calls {
            calls.push_str(more);
            return self.reader.alive();
        }
        self.held.push_str(more);
        let at = if self.mark.is_empty() { None } else { self.held.find(&self.mark) };
        if let Some(at) = at {
            self.calls = Some(self.held.split_off(at));
        }
        let begins = |size: &usize| self.held.ends_with(&self.mark[..*size]);
        let kept = if at.is_some() { 0 } else { (0..self.mark.len()).rev().find(begins).unwrap_or(0) };
        let rest = self.held.split_off(self.held.len() - kept);
        let shown = std::mem::replace(&mut self.held, rest);
        self.tell(&shown);
    }

    pub(crate) fn alive(&mut self) {
        self.reader.alive();
    }

    fn tell(&mut self, shown: &str) {
        if shown.is_empty() {
            return self.reader.alive();
        }
        self.reader.text(shown);
        self.text.push_str(shown);
    }

    /// The text and the calls; none if what began as a call is none.
    pub(crate) fn done(mut self) -> Option<(String, Vec<Call>)> {
        let Some(calls) = self.calls.take() else {
            let rest = std::mem::take(&mut self.held);
            if !rest.is_empty() {
                self.tell(&rest);
            }
            return Some((self.text, Vec::new()));
        };
        let made = self.prompt.turns.iter().map(|turn| turn.calls.len()).sum();
        match self.style.read(&calls, made) {
            Some(calls) if self.known(&calls) => Some((self.text, calls)),
            // An answer that fits a schema may begin as a call does.
            _ if self.prompt.schema.is_some() => {
                self.tell(&calls);
                Some((self.text, Vec::new()))
            }
            _ => None,
        }
    }

    fn known(&self, calls: &[Call]) -> bool {
        calls.iter().all(|call| self.prompt.tools.iter().any(|tool| tool.name == call.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listened(style: Style, text: &str, width: usize) -> Option<(String, String, Vec<Call>)> {
        let tool = Tool { name: "look".into(), description: String::new(), parameters: "{}".into() };
        let prompt = Prompt { tools: vec![tool], ..Prompt::ask("look", 9) };
        let mut told = String::new();
        let mut listener = Listener::new(style, &prompt, &mut told);
        let letters: Vec<char> = text.chars().collect();
        letters.chunks(width).for_each(|piece| listener.text(&piece.iter().collect::<String>()));
        let (text, calls) = listener.done()?;
        Some((told, text, calls))
    }

    #[test]
    fn text_is_told_and_calls_are_kept_however_they_are_cut() {
        let call = |id: &str, arguments: &str| Call { id: id.into(), name: "look".into(), arguments: arguments.into() };
        let marked =
            |arguments: &str| format!("<tool_call>\n{{\"name\": \"look\", \"arguments\": {arguments}}}\n</tool_call>");
        let two = format!("I look. <tool{}\n{}", marked("{\"a\": [1]}"), marked("{}"));
        let bare = "{\"name\": \"look\", \"parameters\": {\"b\":\"}\"}}; {\"name\": \"look\", \"parameters\": {}}";
        for width in [1, 2, 3, 7, 500] {
            let (told, text, calls) = listened(Style::Marked, &two, width).expect("it is sound");
            assert_eq!((told.as_str(), text.as_str()), ("I look. <tool", "I look. <tool"), "{width}");
            assert_eq!(calls, [call("call-1", "{\"a\":[1]}"), call("call-2", "{}")]);
            let (told, _, calls) = listened(Style::Bare, bare, width).expect("it is sound");
            assert_eq!((told.as_str(), calls), ("", vec![call("call-1", "{\"b\":\"}\"}"), call("call-2", "{}")]));
            let (told, text, calls) = listened(Style::Marked, "just <tool_call>\n{\"nam", width).expect("it is sound");
            assert_eq!((told, calls.len()), (text.clone(), 0));
            assert_eq!(text, "just <tool_call>\n{\"nam");
            assert!(listened(Style::Marked, &two[..two.len() - 3], width).is_none(), "half a call is none");
        }
    }
}
