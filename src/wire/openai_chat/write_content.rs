//! Writes the messages of a chat request. Must never know what stands beside them in the body.

use super::request_write::OWN;
use super::write_media::{MediaForm, titled_text, write_part_media};
use super::write_messages::{CallIds, Message, Moved, plan};
use super::write_tools::Names;
use crate::wire::ir::{
    CacheMark, CallResult, Class, Feature, Losses, Media, MediaKind, Part, PartKind, Quirk, Refusal, Request, Role,
    Target, Turn, leave_out,
};
use crate::wire::json::{Json, Str};

/// Most cache marks that an upstream takes; the last ones count.
const MARKS_MAX: usize = 4;
pub struct Content<'w, 't> {
    pub(super) names: &'w Names,
    pub(super) request: &'w Request<'w>,
    pub(super) target: &'w Target<'t>,
    pub(super) losses: &'w mut Losses,
    /// Cache marks that are too many.
    marks_left_out: usize,
}

impl<'w, 't> Content<'w, 't> {
    pub fn new(
        request: &'w Request<'w>,
        target: &'w Target<'t>,
        names: &'w Names,
        losses: &'w mut Losses,
    ) -> Content<'w, 't> {
        Content { names, request, target, losses, marks_left_out: 0 }
    }

    pub(super) fn has(&self, quirk: Quirk) -> bool {
        self.target.quirks.has(quirk)
    }

    /// `line`: what the system must say beside.
    pub fn write_messages(
        &mut self,
        turns: &[Turn<'_>],
        line: Option<String>,
        json: &mut Json<'_>,
    ) -> Result<(), Refusal> {
        for turn in turns {
            leave_out(&turn.extra, OWN, self.losses)?;
            self.leave_out_of(&turn.parts)?;
        }
        let mut line = line;
        let mut ids = CallIds::new(self.has(Quirk::ShortCallIds), self.request.protocol == OWN);
        let mut result = Ok(());
        json.key("messages").array(|json| {
            if self.request.protocol == OWN {
                for turn in turns {
                    self.say_line(json, &mut line, matches!(turn.role, Role::System | Role::Developer));
                    self.write_own(json, turn, &mut ids);
                }
            } else {
                result = self.write_planned(json, &mut ids, &mut line);
            }
            self.say_line(json, &mut line, false);
        });
        result
    }

    fn write_planned(
        &mut self,
        json: &mut Json<'_>,
        ids: &mut CallIds,
        line: &mut Option<String>,
    ) -> Result<(), Refusal> {
        let messages = plan(self.request, ids);
        let marks = messages.iter().map(|message| self.count_marks(message)).sum::<usize>();
        self.marks_left_out = marks.saturating_sub(MARKS_MAX);
        for message in &messages {
            let leads = matches!(message, Message::Said { role: Role::System | Role::Developer, .. });
            self.say_line(json, line, leads);
            self.write_message(json, message)?;
        }
        Ok(())
    }

    /// Behind the system messages that lead.
    fn say_line(&self, json: &mut Json<'_>, line: &mut Option<String>, system_goes_on: bool) {
        if system_goes_on {
            return;
        }
        if let Some(line) = line.take() {
            json.object(|json| {
                json.key("role").text("system");
                json.key("content").text(&line);
            });
        }
    }

    fn leave_out_of(&mut self, parts: &[Part<'_>]) -> Result<(), Refusal> {
        for part in parts {
            leave_out(&part.extra, OWN, self.losses)?;
            match &part.kind {
                PartKind::Result(result) => self.leave_out_of(&result.content)?,
                PartKind::Foreign { protocol, what, class, .. } if *protocol != OWN => match class {
                    Class::Refused => {
                        let message = format!("{what} cannot be sent to this model's upstream: leave it out");
                        return Err(Refusal::new(Feature::Conversation.param(self.request.protocol), message));
                    }
                    Class::Unknown | Class::Dropped => self.losses.field(what),
                    Class::Idle => {}
                },
                PartKind::Foreign { .. }
                | PartKind::Text(_)
                | PartKind::Refusal(_)
                | PartKind::Media(_)
                | PartKind::Reasoning(_)
                | PartKind::Call(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn role(&self, role: Role) -> &'static str {
        match role {
            Role::Developer if self.has(Quirk::NoDeveloperRole) => "system",
            Role::Developer => "developer",
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }

    fn write_message(&mut self, json: &mut Json<'_>, message: &Message<'_, '_>) -> Result<(), Refusal> {
        match message {
            Message::Said { role, parts, moved } => self.write_said(json, *role, parts, moved),
            Message::Assistant(assistant) => {
                self.write_assistant(json, assistant);
                Ok(())
            }
            Message::Result { id, part, result } => {
                self.write_result(json, id, part, result);
                Ok(())
            }
        }
    }

    fn write_said(
        &mut self,
        json: &mut Json<'_>,
        role: Role,
        parts: &[&Part<'_>],
        moved: &[Moved<'_, '_>],
    ) -> Result<(), Refusal> {
        let moved: Vec<&Moved<'_, '_>> = moved.iter().filter(|moved| self.can_move(moved)).collect();
        let said =
            |part: &&&Part<'_>| matches!(part.kind, PartKind::Text(_) | PartKind::Media(_) | PartKind::Refusal(_));
        // Calls and thoughts are the model's to say.
        let is_foreign = |part: &&&Part<'_>| matches!(part.kind, PartKind::Foreign { .. });
        if parts.iter().any(|part| !said(&part) && !is_foreign(&part)) {
            self.losses.dropped(Feature::Conversation);
        }
        let parts: Vec<&Part<'_>> = parts.iter().filter(said).copied().collect();
        if parts.is_empty() && moved.is_empty() {
            return Ok(());
        }
        let name = self.role(role);
        let marked = self.takes_marks() && parts.iter().any(|part| part.cache.is_some());
        let text_of = |part: &&Part<'_>| match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => Some(text.as_token().into_owned()),
            _ => None,
        };
        let texts: Option<Vec<String>> = parts.iter().map(text_of).collect();
        let mut result = Ok(());
        json.object(|json| {
            json.key("role").text(name);
            match texts.filter(|texts| !marked && moved.is_empty() && (role != Role::User || texts.len() == 1)) {
                Some(texts) => {
                    parts.iter().for_each(|part| self.drop_mark(part));
                    json.key("content").str(&Str::token(texts.join("\\n\\n")));
                }
                None => json.key("content").array(|json| {
                    result = moved.iter().try_for_each(|moved| self.write_moved(json, moved));
                    if result.is_ok() {
                        result = parts.iter().try_for_each(|part| self.write_part(json, part));
                    }
                }),
            }
        });
        result
    }

    fn write_part(&mut self, json: &mut Json<'_>, part: &Part<'_>) -> Result<(), Refusal> {
        match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => {
                json.object(|json| {
                    json.key("type").text("text");
                    json.key("text").str(text);
                    self.write_mark(json, part.cache.as_ref());
                });
                Ok(())
            }
            PartKind::Media(media) => {
                self.check_media(media)?;
                write_part_media(json, media, |json| self.write_mark(json, part.cache.as_ref()));
                Ok(())
            }
            PartKind::Reasoning(_) | PartKind::Call(_) | PartKind::Result(_) | PartKind::Foreign { .. } => Ok(()),
        }
    }

    fn check_media(&mut self, media: &Media<'_>) -> Result<(), Refusal> {
        if let Some(problem) = MediaForm::of(media, self.request.protocol, self.target).problem() {
            return Err(Refusal::new(Feature::Conversation.param(self.request.protocol), problem));
        }
        self.note_media(media);
        Ok(())
    }

    fn note_media(&mut self, media: &Media<'_>) {
        let citations = media.document.as_ref().and_then(|document| document.citations.as_ref());
        if citations.and_then(|citations| citations.get("enabled")?.as_bool()) == Some(true) {
            self.losses.dropped(Feature::Citations);
        }
    }

    /// Images that a model cannot see were not the user's to choose: a history should not become unusable by them.
    fn can_move(&self, moved: &Moved<'_, '_>) -> bool {
        self.target.vision || moved.media.kind != MediaKind::Image
    }

    fn write_moved(&mut self, json: &mut Json<'_>, moved: &Moved<'_, '_>) -> Result<(), Refusal> {
        let Moved { call_id, media } = moved;
        self.check_media(media)?;
        let note = match call_id {
            Some(id) => format!("This belongs to the result of the call {id}:"),
            None => "This is the image that you made in your last answer:".to_owned(),
        };
        write_text(json, &Str::plain(note));
        write_part_media(json, media, |_| {});
        Ok(())
    }

    fn write_result(&mut self, json: &mut Json<'_>, id: &str, part: &Part<'_>, result: &CallResult<'_>) {
        if result.is_error {
            self.losses.approximated(Feature::IsError);
        }
        let mut texts: Vec<Str<'_>> = Vec::new();
        let mut mark = part.cache.as_ref();
        let (mut moved, mut unseen) = (false, false);
        for part in &result.content {
            match &part.kind {
                PartKind::Text(text) | PartKind::Refusal(text) => texts.push(text.borrowed()),
                PartKind::Media(media) => match titled_text(media) {
                    Some(text) => {
                        self.note_media(media);
                        let context = media.document.as_ref().and_then(|document| document.context.as_ref());
                        texts.extend(context.map(Str::borrowed));
                        texts.push(text);
                    }
                    None if media.kind == MediaKind::Image && !self.target.vision => unseen = true,
                    None => moved = true,
                },
                PartKind::Reasoning(_) | PartKind::Call(_) | PartKind::Result(_) | PartKind::Foreign { .. } => {}
            }
            mark = mark.or(part.cache.as_ref());
        }
        if moved {
            texts.push(Str::plain("(images or files of this result stand in the next user message)"));
        }
        if unseen {
            self.losses.dropped(Feature::Media);
            texts.push(Str::plain("(images of this result were left out: this model cannot see them)"));
        }
        let error = if result.is_error { "Error: " } else { "" };
        let text: Vec<_> = texts.iter().map(Str::as_token).collect();
        let text = Str::token(format!("{error}{}", text.join("\\n\\n")));
        json.object(|json| {
            json.key("role").text("tool");
            json.key("tool_call_id").text(id);
            if mark.is_some() && self.takes_marks() {
                json.key("content").array(|json| {
                    json.object(|json| {
                        json.key("type").text("text");
                        json.key("text").str(&text);
                        self.write_mark(json, mark);
                    });
                });
            } else {
                self.write_no_mark(mark);
                json.key("content").str(&text);
            }
        });
    }

    fn takes_marks(&self) -> bool {
        self.has(Quirk::CacheControlParts) || self.has(Quirk::CacheBreakpoints)
    }

    /// Cache marks that a message would be written with.
    fn count_marks(&self, message: &Message<'_, '_>) -> usize {
        match message {
            Message::Said { parts, .. } => parts.iter().filter(|part| part.cache.is_some()).count(),
            Message::Assistant(_) => 0,
            Message::Result { part, result, .. } => {
                let marked = part.cache.is_some() || result.content.iter().any(|part| part.cache.is_some());
                usize::from(marked)
            }
        }
    }

    fn write_mark(&mut self, json: &mut Json<'_>, mark: Option<&CacheMark<'_>>) {
        let Some(mark) = mark else { return };
        if !self.takes_marks() {
            return self.write_no_mark(Some(mark));
        }
        if self.marks_left_out > 0 {
            self.marks_left_out -= 1;
            return self.losses.approximated(Feature::CacheControl);
        }
        if self.has(Quirk::CacheControlParts) {
            json.key("cache_control").object(|json| super::request_write::write_ephemeral(json, mark, self.losses));
        } else {
            if mark.ttl.is_some() {
                self.losses.approximated(Feature::CacheControl);
            }
            json.key("prompt_cache_breakpoint").object(|json| json.key("mode").text("explicit"));
        }
    }

    fn write_no_mark(&mut self, mark: Option<&CacheMark<'_>>) {
        if mark.is_some() {
            self.losses.dropped(Feature::CacheControl);
        }
    }

    pub(super) fn drop_mark(&mut self, part: &Part<'_>) {
        self.write_no_mark(part.cache.as_ref());
    }
}

pub(super) fn write_text(json: &mut Json<'_>, text: &Str<'_>) {
    json.object(|json| {
        json.key("type").text("text");
        json.key("text").str(text);
    });
}
