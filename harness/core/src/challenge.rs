//! The `WWW-Authenticate` field of HTTP (RFC 9110, section 11.6.1): a list of challenges, each a scheme with parameters.

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, as written.
    pub scheme: String,
    /// The parameters, in order; names in lower case, values without quotation marks.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Whether it asks for a bearer token (RFC 6750).
    #[must_use]
    pub fn is_bearer(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("bearer")
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The first bearer challenge among the values of all `WWW-Authenticate` fields of a response. Fields that cannot be read are passed over.
#[must_use]
pub fn bearer<'a>(fields: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let challenges = fields.into_iter().filter_map(|field| parse(field).ok());
    challenges.flatten().find(Challenge::is_bearer)
}

/// Reads the value of one field.
///
/// # Errors
/// When it does not follow the grammar; the text says what is wrong.
pub fn parse(text: &str) -> Result<Vec<Challenge>, String> {
    let mut reader = Reader { text, at: 0 };
    let mut challenges: Vec<Challenge> = Vec::new();
    loop {
        let comma = reader.separators();
        if reader.rest().is_empty() {
            break;
        }
        let start = reader.at;
        let word = reader.token();
        if word.is_empty() {
            return Err(format!(
                "unexpected {:?} where a scheme or parameter begins",
                reader.next_character()
            ));
        }
        let after_word = reader.at;
        reader.spaces();
        match challenges.last_mut() {
            Some(challenge) if reader.eat('=') => {
                if !comma && !challenge.parameters.is_empty() {
                    return Err(format!("no comma stands before the parameter {word:?}"));
                }
                reader.spaces();
                let value = reader
                    .value()
                    .map_err(|problem| format!("the parameter {word:?} {problem}"))?;
                let name = word.to_ascii_lowercase();
                if challenge.get(&name).is_some() {
                    return Err(format!("the parameter {word:?} stands twice"));
                }
                challenge.parameters.push((name, value));
            }
            _ => {
                reader.at = after_word;
                if !comma && !challenges.is_empty() {
                    return Err(format!(
                        "{:?} is neither a parameter nor preceded by a comma",
                        &text[start..after_word]
                    ));
                }
                challenges.push(Challenge {
                    scheme: word.to_owned(),
                    parameters: Vec::new(),
                });
                reader.token68();
            }
        }
    }
    if challenges.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(challenges)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn next_character(&self) -> char {
        self.rest().chars().next().unwrap_or(' ')
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|character| !wanted(character)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn spaces(&mut self) {
        self.take(|character| matches!(character, ' ' | '\t'));
    }

    /// Passes over spaces and commas; whether there was a comma.
    fn separators(&mut self) -> bool {
        self.take(|character| matches!(character, ' ' | '\t' | ','))
            .contains(',')
    }

    fn token(&mut self) -> &'a str {
        self.take(|character| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character))
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        self.at += usize::from(found);
        found
    }

    /// Passes over what some schemes have instead of parameters.
    fn token68(&mut self) {
        let start = self.at;
        self.spaces();
        let body = self.take(|character| character.is_ascii_alphanumeric() || "-._~+/".contains(character));
        self.take(|character| character == '=');
        let ends = self.rest().trim_start_matches([' ', '\t']);
        if body.is_empty() || !(ends.is_empty() || ends.starts_with(',')) {
            self.at = start;
        }
    }

    fn value(&mut self) -> Result<String, &'static str> {
        if !self.eat('"') {
            let value = self.token();
            return if value.is_empty() {
                Err("has no value")
            } else {
                Ok(value.to_owned())
            };
        }
        let mut value = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += offset + 1;
                    return Ok(value);
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                other => value.push(other),
            }
        }
        Err("has a quotation mark that is not closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_every_legal_form() {
        let text = r#"Basic realm="a, b" , bearer error=invalid_token,  Scope="x y",note="a \"q\"""#;
        let challenges = parse(text).unwrap();
        assert_eq!(challenges.len(), 2);
        assert_eq!(challenges[0].get("realm"), Some("a, b"));
        let bearer = bearer([text]).unwrap();
        assert_eq!(
            (bearer.get("error"), bearer.get("scope")),
            (Some("invalid_token"), Some("x y"))
        );
        assert_eq!(bearer.get("note"), Some("a \"q\""));
    }

    #[test]
    fn a_scheme_may_stand_alone_or_with_a_token() {
        let schemes = |text: &str| -> Vec<String> { parse(text).unwrap().into_iter().map(|c| c.scheme).collect() };
        assert_eq!(schemes("Bearer"), ["Bearer"]);
        assert_eq!(schemes("Negotiate abc==, Bearer realm=x"), ["Negotiate", "Bearer"]);
        assert_eq!(schemes("NTLM, Bearer"), ["NTLM", "Bearer"]);
    }

    #[test]
    fn what_breaks_the_grammar_is_named() {
        for (text, problem) in [
            ("", "empty"),
            ("Bearer a=\"b\" c=\"d\"", "no comma"),
            ("Bearer a=\"b", "not closed"),
            ("Bearer x=y, a=, b=c", "no value"),
            ("Bearer a=b, A=c", "twice"),
            ("Bearer realm x", "neither"),
            ("\"Bearer\"", "begins"),
            ("Bearer resource_metadata=http://a/b", "begins"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
