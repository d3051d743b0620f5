//! A lenient reader of schema definitions: GitHub's published file repeats fields and breaks
//! rules that strict readers insist on. Only what validation needs is kept.

use std::collections::{HashMap, HashSet};

/// A field of a type.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldDef {
    /// Named type, without list and non-null marks.
    pub(super) of: String,
    /// Arguments, and whether each must be given.
    pub(super) args: HashMap<String, bool>,
}

/// A schema, for [`super::validate`].
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// Fields of objects and interfaces.
    pub(super) composites: HashMap<String, HashMap<String, FieldDef>>,
    /// Members of unions, and objects of interfaces.
    pub(super) members: HashMap<String, HashSet<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Mark(char),
}

fn tokens(text: &str) -> Vec<Token> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let len = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' if rest.starts_with("\"\"\"") => {
                rest[3..].find("\"\"\"").map_or(rest.len(), |end| end + 6)
            }
            '"' => string_len(rest),
            _ if is_name(first) => {
                let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                found.push(Token::Name(rest[..len].to_owned()));
                len
            }
            _ => {
                if !first.is_whitespace() && first != ',' {
                    found.push(Token::Mark(first));
                }
                first.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    found
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

impl Schema {
    /// Reads schema definitions and skips unknown ones.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut schema = Self::default();
        let tokens = tokens(text);
        let mut reader = Reader { tokens: &tokens, at: 0 };
        while let Some(token) = reader.next() {
            let Token::Name(keyword) = token else { continue };
            match keyword.as_str() {
                "type" | "interface" => reader.composite(&mut schema),
                "union" => reader.union(&mut schema),
                "input" | "enum" => reader.skip_block(),
                _ => {}
            }
        }
        schema
    }
}

struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn name(&mut self) -> String {
        match self.next() {
            Some(Token::Name(name)) => name,
            _ => String::new(),
        }
    }

    fn takes(&mut self, mark: char) -> bool {
        let is_it = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(is_it);
        is_it
    }

    fn skip_block(&mut self) {
        while self.peek().is_some() && !self.takes('{') {
            self.at += 1;
        }
        while self.peek().is_some() && !self.takes('}') {
            self.at += 1;
        }
    }

    fn composite(&mut self, schema: &mut Schema) {
        let name = self.name();
        while self.peek().is_some() && !self.takes('{') {
            if let Some(Token::Name(word)) = self.next()
                && word != "implements"
            {
                schema.members.entry(word).or_default().insert(name.clone());
            }
        }
        let mut fields = HashMap::new();
        while self.peek().is_some() && !self.takes('}') {
            let (field, mut def) = (self.name(), FieldDef::default());
            if self.takes('(') {
                def.args = self.arguments();
            }
            self.takes(':');
            def.of = self.type_name().0;
            self.skip_directives();
            fields.insert(field, def);
        }
        schema.composites.entry(name).or_default().extend(fields);
    }

    fn arguments(&mut self) -> HashMap<String, bool> {
        let mut found = HashMap::new();
        while self.peek().is_some() && !self.takes(')') {
            let name = self.name();
            self.takes(':');
            let is_required = self.type_name().1;
            let has_default = self.takes('=');
            if has_default {
                self.skip_value();
            }
            self.skip_directives();
            found.insert(name, is_required && !has_default);
        }
        found
    }

    /// The named type, and whether it is non-null as a whole.
    fn type_name(&mut self) -> (String, bool) {
        let mut lists = 0;
        while self.takes('[') {
            lists += 1;
        }
        let name = self.name();
        let mut non_null = self.takes('!');
        for _ in 0..lists {
            self.takes(']');
            non_null = self.takes('!');
        }
        (name, non_null)
    }

    fn skip_value(&mut self) {
        let close = match self.next() {
            Some(Token::Mark('{')) => '}',
            Some(Token::Mark('[')) => ']',
            Some(Token::Mark('-')) => return self.at += 1,
            _ => return,
        };
        while self.peek().is_some() && !self.takes(close) {
            if matches!(self.peek(), Some(Token::Mark('{' | '['))) {
                self.skip_value();
            } else {
                self.at += 1;
            }
        }
    }

    fn skip_directives(&mut self) {
        while self.takes('@') {
            self.name();
            if self.takes('(') {
                while self.peek().is_some() && !self.takes(')') {
                    self.at += 1;
                }
            }
        }
    }

    fn union(&mut self, schema: &mut Schema) {
        let name = self.name();
        schema.composites.entry(name.clone()).or_default();
        if !self.takes('=') {
            return;
        }
        self.takes('|');
        loop {
            let member = self.name();
            schema.members.entry(name.clone()).or_default().insert(member);
            if !self.takes('|') {
                return;
            }
        }
    }
}
